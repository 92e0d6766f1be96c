# training_text FOLDER: text for a short training run, in 30 files of 60 lines. Sourced by tests of programs.
training_text() {
  local i j
  mkdir "$1"
  for i in $(seq 1 30); do
    for j in $(seq 1 60); do echo "int value_${i}_$j = $((i * j)) + function_$i($j);"; done >"$1/part_$i.h"
  done
}
