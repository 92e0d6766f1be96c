#!/usr/bin/env bash
# Bad inputs to the training and generation programs: each gives its own exit code and one clear message, and nothing that
# was saved is lost.
#
#   tests/programs/refusals.sh PATH/aeth_train PATH/aeth_generate
set -u
train=$1 generate=$2
work=$(mktemp -d)
mounted=
trap '[ -n "$mounted" ] && umount "$mounted"; rm -rf "$work"' EXIT
failures=0 checks=0

# expect CODE TEXT COMMAND...: the command ends with CODE and says TEXT.
expect() {
  local code=$1 wanted=$2 output actual
  shift 2
  output=$("$@" 2>&1)
  actual=$?
  checks=$((checks + 1))
  if [ "$actual" != "$code" ] || [[ $output != *"$wanted"* ]]; then
    failures=$((failures + 1))
    printf 'FAILED: %s\n  wanted exit %s and "%s", got exit %s:\n%s\n' "$*" "$code" "$wanted" "$actual" "$output"
  fi
}

# A small corpus of documents that differ.
mkdir "$work/text"
for i in $(seq 1 24); do
  for j in $(seq 1 40); do echo "int value_${i}_$j = $((i * j)) + function_$i($j);"; done >"$work/text/part_$i.h"
done
quick=(--steps 4 --batch 2 --length 32 --validation 0.2)

mkdir "$work/empty" "$work/binary" "$work/one" "$work/single"
head -c 4096 /dev/zero >"$work/binary/a.h"
printf x >"$work/one/a.h"
cp "$work/text/part_1.h" "$work/single/"
expect 3 "matches" "$train" --data "$work/empty" --out "$work/out" "${quick[@]}"
expect 3 "binary" "$train" --data "$work/binary" --out "$work/out" "${quick[@]}"
expect 3 "documents" "$train" --data "$work/one" --out "$work/out" "${quick[@]}"
expect 3 "documents" "$train" --data "$work/single" --out "$work/out" "${quick[@]}"
expect 6 "nowhere" "$train" --data "$work/nowhere" --out "$work/out" "${quick[@]}"
touch "$work/file"
expect 6 "$work/file" "$train" --data "$work/text" --out "$work/file/out" "${quick[@]}"
mkdir -p "$work/held/checkpoints/step-000000001"
expect 2 "max_context" "$train" --data "$work/text" --out "$work/out" "${quick[@]}" --length 5000
expect 2 "--no-such-option" "$train" --no-such-option
expect 2 "learning_rate" "$train" --data "$work/text" --out "$work/out" "${quick[@]}" --rate nan
expect 2 "batch_rows" "$train" --data "$work/text" --out "$work/out" "${quick[@]}" --batch 0
expect 2 "holds another run" "$train" --data "$work/text" --out "$work/held" "${quick[@]}"
expect 3 "one batch needs" "$train" --data "$work/text" --out "$work/out" "${quick[@]}" --batch 100000
expect 6 "checkpoint" "$train" --data "$work/text" --out "$work/fresh" "${quick[@]}" --resume
expect 4 "Nothing of this step was applied" "$train" --data "$work/text" --out "$work/nan" --steps 40 --batch 2 --length 32 --rate 1e30

echo '{"other": "text"}' >"$work/field.jsonl"
# The vocabulary is larger than this text supports: said, and trained all the same.
expect 0 "supports only" "$train" --data "$work/text" --out "$work/run" "${quick[@]}" --save-every 2
expect 0 "" "$generate" --model "$work/run" --max-tokens 4 "int"
# Both stop texts count, and neither takes the prompt for another one.
stopped=$("$generate" --model "$work/run" --temperature 0 --stop u --stop = --max-tokens 40 "int v" 2>/dev/null)
expect 0 "" test "${stopped:0:5}" = "int v" -a "$stopped" = "${stopped//[u=]/}"
expect 2 "temperature" "$generate" --model "$work/run" --temperature -1 "int"
expect 2 "context" "$generate" --model "$work/run" --max-tokens 1000000 "int"
expect 6 "nothing_here" "$generate" --model "$work/nothing_here" "int"
expect 2 "give --steps" "$train" --data "$work/text" --out "$work/run" --minutes 1 --schedule v3 --overwrite
expect 3 "no field" "$train" --data "$work/field.jsonl" --out "$work/run" "${quick[@]}" --overwrite
expect 2 "--overwrite" "$train" --data "$work/text" --out "$work/run" "${quick[@]}" --overwrite --resume
expect 0 "" "$generate" --model "$work/run" --max-tokens 4 "int"  # what was refused has not replaced the run
expect 2 "adam" "$train" --data "$work/text" --out "$work/out" "${quick[@]}" --optimizer adam
expect 0 "bits per byte" "$train" --data "$work/text" --out "$work/sgd" "${quick[@]}" --optimizer sgd --schedule v3
expect 2 "other training options" "$train" --data "$work/text" --out "$work/sgd" "${quick[@]}" --schedule v3 --resume
expect 0 "bits per byte" "$train" --data "$work/text" --out "$work/cosine" "${quick[@]}" --schedule cosine
expect 2 "other training options" "$train" --data "$work/text" --out "$work/run" "${quick[@]}" --rate 0.5 --resume

# One text file: parts of it are held back for validation.
cat "$work"/text/*.h "$work"/text/*.h >"$work/book.txt"
expect 0 "bits per byte" "$train" --data "$work/book.txt" --out "$work/book" "${quick[@]}"

# JSON Lines: each line is a document. A broken line is named; it can be left out.
mkdir "$work/lines"
for i in $(seq 1 24); do
  printf '{"id":%d,"body":"' "$i"
  for j in $(seq 1 40); do printf '%s' "int value_${i}_$j = $((i * j)) + function_$i($j);\\n"; done
  printf '"}\n'
done >"$work/lines/good.jsonl"
{ cat "$work/lines/good.jsonl"; echo '{"body": "broken'; cat "$work/lines/good.jsonl"; } >"$work/broken.jsonl"
lines=("${quick[@]}" --overwrite --out "$work/from_lines")
expect 3 "broken.jsonl: line 25 (byte" "$train" --data "$work/broken.jsonl" --field body "${lines[@]}"
expect 3 "no field 'text' (it has: body, id)" "$train" --data "$work/lines/good.jsonl" "${lines[@]}"
expect 0 "note: 1 bad lines" "$train" --data "$work/broken.jsonl" --field body --skip-bad-lines "${lines[@]}"
expect 0 "text: 24 documents" "$train" --data "$work/lines" --field body "${lines[@]}"

# A truncated newest checkpoint: the one before is used, and the program says so. Both truncated: refused.
newest=$(ls -d "$work"/run/checkpoints/step-* | tail -n 1)
truncate -s -100 "$newest/model.safetensors"
expect 0 "using" "$generate" --model "$work/run" --max-tokens 4 "int"
for file in "$work"/run/checkpoints/step-*/model.safetensors; do truncate -s 100 "$file"; done
expect 6 "no checkpoint" "$generate" --model "$work/run" "int"

# A full disk, where a small file system may be mounted: it holds one checkpoint and not two. The first stays good.
mkdir "$work/small"
if mount -t tmpfs -o size=44m none "$work/small" 2>/dev/null; then
  mounted="$work/small"
  small=(--data "$work/text" --out "$work/small/run" "${quick[@]}" --save-every 2)
  expect 6 "space" "$train" "${small[@]}"
  expect 0 "" "$generate" --model "$work/small/run" --max-tokens 4 "int"
  # It goes on where it is told to, until the last state cannot be saved; with space, that is made up for.
  small+=(--steps 40 --on-save-error continue)
  expect 6 "Training goes on; earlier checkpoints are intact" "$train" "${small[@]}" --overwrite
  expect 0 "" "$generate" --model "$work/small/run" --max-tokens 4 "int"
  mount -o remount,size=200m "$work/small"
  expect 0 "bits per byte" "$train" "${small[@]}" --resume
else
  echo "note: no small file system could be mounted, so the full disk was not tried"
fi

echo "refusals: $checks checks, $failures failed"
[ "$failures" = 0 ]
