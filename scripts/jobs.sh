# shellcheck shell=bash
# Sets `jobs`: one per core, but no more than memory allows at 2 GiB each. Chooses Ninja where there is one.
jobs=$(nproc)
memory_jobs=$(awk '/^MemAvailable/ { print int($2 / 2097152) }' /proc/meminfo)
if ((memory_jobs < jobs)); then jobs=$((memory_jobs > 1 ? memory_jobs : 1)); fi
if command -v ninja >/dev/null; then export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}; fi
