// expect: aeth: ModelConfig describes more than 10^16 parameters; check its sizes for a misplaced digit
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.dim = c.ffn_dim = c.moe.hidden_dim = 1 << 24;
#endif
    });
static_assert(aeth::validate_model<config>());
