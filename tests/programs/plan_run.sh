#!/usr/bin/env bash
# The planner: V3's own run, a laptop's, and plans that cannot run, each with its exit code and the field that is wrong.
#
#   plan_run.sh AETH_PLAN_RUN
set -euo pipefail
plan=$1

fail() {
  echo "plan_run.sh: $*" >&2
  exit 1
}
# refused CODE TEXT arguments...: the program ends with CODE and says TEXT.
refused() {
  local wanted=$1 said=$2 code=0 output
  shift 2
  output=$("$plan" "$@" 2>&1) || code=$?
  ((code == wanted)) || fail "exit code $code instead of $wanted: $* ($output)"
  [[ $output == *"$said"* ]] || fail "does not say '$said': $* ($output)"
}

"$plan" --help | grep -q -- --hardware || fail "--help does not list the options"
output=$("$plan")
[[ $output == *"2048 x h800"* && $output == *"matters most"* && $output == *"fits in 80.0 GB"* ]] || fail "V3: $output"
[[ $output == *"2,664,000"* && $output == *'$294,000'* ]] || fail "V3: published figures are missing: $output"
output=$("$plan" mini --tokens 1e8)
[[ $output == *"1 x zen4"* && $output == *"fp32 products"* ]] || fail "mini: $output"
"$plan" deepseek_v2 >/dev/null || fail "V2's plan is refused"
"$plan" deepseek_v3 --schedule 1f1b --products bf16 --hardware h200 --dollars 3.5 | grep -q "at 3.50 per device hour" ||
  fail "options are not used"

refused 2 "ParallelPlan::expert must divide MoeConfig::experts" deepseek_v3 --expert 24
refused 2 "ParallelPlan::pipeline must not exceed ModelConfig::layers" deepseek_v3 --pipeline 64
refused 2 "--tokens" tiny
refused 2 "nothing" deepseek_v3 --hardware nothing
refused 2 "deepseek_v9" deepseek_v9
refused 2 "--tokens" tiny --tokens -1
refused 2 "NaN" deepseek_v3 --tokens nan
refused 2 "NaN" deepseek_v3 --dollars nan
refused 2 "--data" deepseek_v3 --data 0
refused 2 "ParallelPlan::products is fp8" mini --tokens 1e9 --products fp8
echo "plan_run: all checks passed"
