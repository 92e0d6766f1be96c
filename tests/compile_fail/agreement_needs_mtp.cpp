// Agreement of the second token needs something that predicts it.
// expect: aeth: second_token_agreement needs a model with mtp_depth >= 1
#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/train/agreement.hpp"

#ifdef AETH_COMPILE_FAIL_OK
constexpr int depth = 1;
#else
constexpr int depth = 0;
#endif
constexpr auto config = aeth::with(aeth::presets::tiny, [](aeth::ModelConfig& c) { c.mtp_depth = depth; });

auto const function = &aeth::train::second_token_agreement<aeth::Model<config, aeth::Fp32>>;
