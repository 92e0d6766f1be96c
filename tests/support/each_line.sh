# shellcheck shell=bash
# each_line FUNCTION: calls FUNCTION with every line of standard input, two at a time.
each_line() {
  local running=0 line
  while IFS= read -r line; do
    if ((running >= 2)); then wait -n || true; else running=$((running + 1)); fi
    "$1" "$line" &
  done
  wait
}
