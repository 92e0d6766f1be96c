#!/usr/bin/env bash
# What may happen to a training program from outside: another one on its folder, signals, standard streams and folders that
# are gone. Whatever it is, what was saved stays, and --resume ends where an undisturbed run ends, byte for byte.
#
#   tests/programs/interruptions.sh PATH/aeth_train
set -u
train=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(cd "$(dirname "$0")" && pwd)/../support/training_text.sh"
training_text "$work/text"
arguments=(--data "$work/text" --steps 150 --batch 2 --length 32 --validation 0.2 --save-every 3)
failures=0

fail() {
  failures=$((failures + 1))
  echo "FAILED: $*"
}
# begin NAME WRAPPER...: starts a run by way of a program such as env or nohup, and waits until it has saved something.
begin() {
  local name=$1
  shift
  "$@" "$train" "${arguments[@]}" --out "$work/$name" >"$work/$name.log" 2>&1 &
  pid=$!
  for _ in $(seq 1 1200); do
    [ -f "$work/$name/checkpoints/latest" ] && return
    sleep 0.02
  done
  fail "$name: nothing was saved"
}
# finish NAME: what is saved is continued to the end, and equals the undisturbed run.
finish() {
  local name=$1
  "$train" "${arguments[@]}" --out "$work/$name" --resume >>"$work/$name.log" 2>&1 || fail "$name: --resume: $(tail -n 3 "$work/$name.log")"
  same "$name"
}
same() {
  local name=$1 file
  for file in model.safetensors optimizer.safetensors; do
    cmp -s "$work/whole/checkpoints/step-000000150/$file" "$work/$name/checkpoints/step-000000150/$file" || fail "$name: $file differs"
  done
  cmp -s "$work/whole/metrics.csv" "$work/$name/metrics.csv" || fail "$name: metrics.csv differs"
}
# ends CODE NAME: the run that was begun last ends with that exit code.
ends() {
  local code=0
  wait "$pid" || code=$?
  [ "$code" = "$1" ] || fail "$2: wanted exit $1, got $code: $(tail -n 3 "$work/$2.log")"
}

"$train" "${arguments[@]}" --out "$work/whole" >"$work/whole.log" || fail "the undisturbed run"

# A second trainer on the folder is refused by the name of the first, which does not notice.
begin two env
for way in --resume --overwrite; do
  output=$("$train" "${arguments[@]}" --out "$work/two" $way 2>&1)
  code=$?
  [ "$code" = 2 ] && [[ $output == *"in use by process $pid "* ]] || fail "second trainer $way: exit $code: $output"
done
ends 0 two
same two

# Signals that ask it to end: it saves and says so. Several times, at other moments of saving.
for signal in INT TERM HUP TERM; do
  name=signal_$signal$RANDOM
  begin "$name" env --default-signal=HUP  # whoever runs this may have it ignored
  sleep 0.0$((RANDOM % 10))
  kill -"$signal" "$pid"
  ends 5 "$name"
  grep -q "go on with --resume" "$work/$name.log" || fail "$name: it does not say how to go on"
  finish "$name"
done

# Killed: it says nothing, and the next one finds no stale lock.
begin killed env
kill -KILL "$pid"
ends 137 killed 2>/dev/null
finish killed

# The terminal is resized, and closed where nohup is used.
begin nohup nohup
kill -WINCH "$pid"
kill -HUP "$pid"
ends 0 nohup
same nohup

# The reader of its output goes away; standard streams that are not there; no home, no folder for temporary files.
"$train" "${arguments[@]}" --out "$work/pipe" 2>"$work/pipe.log" | head -c 1 >/dev/null
[ "${PIPESTATUS[0]}" = 0 ] || fail "closed pipe: exit ${PIPESTATUS[0]}: $(cat "$work/pipe.log")"
same pipe
"$train" "${arguments[@]}" --out "$work/closed" <&- >&- 2>&- || fail "closed streams: exit $?"
same closed
env -i TMPDIR=/nowhere HOME=/nowhere "$train" "${arguments[@]}" --out "$work/bare" >"$work/bare.log" 2>&1 || fail "no home: $(tail -n 3 "$work/bare.log")"
same bare

echo "interruptions: $failures failed"
[ "$failures" = 0 ]
