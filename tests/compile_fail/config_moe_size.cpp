// expect: aeth: MoeConfig has a size above 16777216; check it for a misplaced digit
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.moe.hidden_dim = 1 << 25;
#endif
    });
static_assert(aeth::validate_model<config>());
