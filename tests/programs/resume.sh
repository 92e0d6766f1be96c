#!/usr/bin/env bash
# Ctrl-C, then --resume: metrics, weights, moments and selection biases equal those of a run that was not interrupted.
#
#   tests/programs/resume.sh PATH/aeth_train
set -eu
train=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(cd "$(dirname "$0")" && pwd)/../support/training_text.sh"
training_text "$work/text"
arguments=(--data "$work/text" --steps 40 --batch 2 --length 32 --validation 0.2)

"$train" "${arguments[@]}" --out "$work/whole" >"$work/whole.log"

"$train" "${arguments[@]}" --out "$work/parts" >"$work/parts.log" &
pid=$!
for _ in $(seq 1 600); do
  [ -f "$work/parts/metrics.csv" ] && [ "$(wc -l <"$work/parts/metrics.csv")" -gt 8 ] && break
  sleep 0.05
done
kill -INT "$pid"
code=0
wait "$pid" || code=$?
rows=$(wc -l <"$work/parts/metrics.csv")
if [ "$code" != 5 ] || [ "$rows" -gt 40 ]; then
  echo "resume: wanted exit 5 somewhere in the run, got exit $code after $((rows - 1)) steps"
  exit 1
fi
"$train" "${arguments[@]}" --out "$work/parts" --threads 1 --resume >>"$work/parts.log"

cmp "$work/whole/metrics.csv" "$work/parts/metrics.csv"
cmp "$work/whole/metrics.jsonl" "$work/parts/metrics.jsonl"
whole=$(ls -d "$work"/whole/checkpoints/step-* | tail -n 1)
for file in model.safetensors optimizer.safetensors; do
  cmp "$whole/$file" "$work/parts/checkpoints/${whole##*/}/$file"
done
echo "resume: interrupted after $((rows - 1)) steps, the result is the same byte for byte"
