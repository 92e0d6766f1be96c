// Router logits, scores and gates are an exact role: no precision policy narrows them.
// expect: aeth: route needs logits, scores and gates in the exact type of a precision policy, float or double
#include "aeth/backend/cpu.hpp"
#include "aeth/ops/routing.hpp"

#ifdef AETH_COMPILE_FAIL_OK
using Score = float;
#else
using Score = aeth::bf16;
#endif

auto const function = &aeth::ops::route<aeth::Cpu, Score>;
