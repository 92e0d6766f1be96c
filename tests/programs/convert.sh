#!/usr/bin/env bash
# A trained model through Hugging Face folders and GGUF files and back, byte for byte; conversions that make no sense.
#
#   convert.sh AETH_TRAIN AETH_INSPECT AETH_CONVERT AETH_GENERATE
set -euo pipefail
train=$1 inspect=$2 convert=$3 generate=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
  echo "convert.sh: $*" >&2
  exit 1
}
# refused CODE TEXT command...: the command ends with CODE and says TEXT.
refused() {
  local wanted=$1 said=$2 code=0
  shift 2
  "$@" >output 2>&1 || code=$?
  ((code == wanted)) || fail "exit code $code instead of $wanted: $* ($(cat output))"
  grep -qF -- "$said" output || fail "does not say '$said': $* ($(cat output))"
}

for i in $(seq 60); do
  seq "$i" 700 | sed "s/\$/ lines of text number $((i * i)), each a little different/" >>text.txt
done
"$train" --data text.txt --out run --minutes 5 --steps 20 >/dev/null 2>&1 || fail "training failed"

"$convert" run hf --type f32
"$inspect" hf --tensors --header model.hpp >listing
grep -q 'used: 161 tensors\|^used: ' listing || fail "no account of the tensors"
grep -q 'inline constexpr aeth::ModelConfig model_config' model.hpp || fail "no configuration in the header"
"$convert" hf hf2 --type f32 --shard-bytes 3000000
[[ -f hf2/model.safetensors.index.json ]] || fail "no shards"
"$convert" hf2 hf3 --type f32
cmp hf/model.safetensors hf3/model.safetensors
cmp hf/tokenizer.json hf3/tokenizer.json
cmp hf/config.json hf3/config.json

"$convert" hf model.gguf --type f32
"$inspect" model.gguf >listing
grep -q "general.architecture *'deepseek2'" listing || fail "no architecture in the GGUF file"
"$convert" model.gguf again.gguf --type f32
cmp model.gguf again.gguf
"$convert" model.gguf from-gguf --type f32
# What GGUF files do not have is the multi-token prediction module; everything else is the same text.
[[ $("$generate" --model hf --temperature 0 --max-tokens 40 'lines of' 2>/dev/null) == \
   $("$generate" --model from-gguf --temperature 0 --max-tokens 40 'lines of' 2>/dev/null) ]] ||
  fail "another continuation after GGUF"
[[ $("$generate" --model model.gguf --temperature 0 --max-tokens 40 'lines of') == \
   $("$generate" --model run --temperature 0 --max-tokens 40 'lines of') ]] || fail "another continuation from GGUF"

for type in bf16 fp8; do "$convert" run "hf-$type" --type $type && "$inspect" "hf-$type" >/dev/null; done
for type in bf16 q8_0; do "$convert" run "$type.gguf" --type $type && "$inspect" "$type.gguf" >/dev/null; done

refused 6 "is there already" "$convert" run hf
refused 2 "q8_0 is for GGUF" "$convert" run x --type q8_0
refused 2 "fp8 is for Hugging Face" "$convert" run x.gguf --type fp8
refused 2 "has no config.json" "$inspect" hf/model.safetensors --header x.hpp
refused 2 "no C++ identifier" "$inspect" hf --header x.hpp --name '1;'
refused 6 "x.safetensors" "$inspect" x.safetensors
sed 's/"hidden_size": [0-9]*/"hidden_size": 96/' hf/config.json >hf2/config.json
refused 7 "dim is 96 there" "$convert" hf2 x
refused 6 "unfit" "$inspect" hf2
head -c 100000 hf/model.safetensors >hf3/model.safetensors
refused 6 "hf3/model.safetensors" "$convert" hf3 x
head -c 100000 model.gguf >cut.gguf
refused 6 "cut.gguf" "$inspect" cut.gguf
[[ ! -e x && ! -e x.hpp ]] || fail "a refused conversion left something"
echo "convert.sh: passed"
