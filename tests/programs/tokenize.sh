#!/usr/bin/env bash
# The tokenizer program: ids that decode to the input, whatever its bytes; counts; refusals with their exit codes.
#
#   tests/programs/tokenize.sh PATH/aeth_tokenize FOLDER_OF_TOKENIZER_FILES
set -euo pipefail
tokenize=$1 files=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*"
  exit 1
}

head -c 20000 "$tokenize" >"$work/bytes"
printf 'int main() { return 0; }\n  int 123 a\n' >"$work/text"
for file in good gpt2 digits nested; do
  run=("$tokenize" --tokenizer "$files/$file")
  "${run[@]}" "$work/bytes" "$work/text" >"$work/ids"
  (($(wc -l <"$work/ids") == 2)) || fail "$file: not one line for each file"
  "${run[@]}" --out "$work/binary" "$work/bytes" "$work/text" || fail "$file: --out"
  count=$("${run[@]}" --count --threads 2 "$work/bytes" "$work/text")
  (($(stat -c %s "$work/binary") == 4 * count && $(wc -w <"$work/ids") == count)) || fail "$file: counts differ"
  "${run[@]}" --decode <"$work/ids" >"$work/back"
  [[ $file == gpt2 ]] && continue  # puts a space in front
  cat "$work/bytes" "$work/text" | cmp - "$work/back" || fail "$file: decoding gives other bytes"
done

refused() {
  local code=$1 wanted=$2 output actual=0
  shift 2
  output=$("$@" 2>&1 </dev/null) || actual=$?
  [[ $actual == "$code" && $output == *"$wanted"* ]] || fail "$*: wanted exit $code and '$wanted', got $actual: $output"
}
refused 2 "--tokenizer is required" "$tokenize"
refused 6 "nothing" "$tokenize" --tokenizer "$work/nothing"
refused 3 "Lowercase" "$tokenize" --tokenizer "$files/lowercase"
refused 3 "cannot read it" "$tokenize" --tokenizer "$files/pattern_open"
echo "1 two" >"$work/ids"
refused 3 "id 2" "$tokenize" --tokenizer "$files/good" --decode "$work/ids"
echo "999999" >"$work/ids"
refused 3 "999999" "$tokenize" --tokenizer "$files/good" --decode "$work/ids"
echo "tokenize: all checks passed"
