// expect: aeth: MoeConfig::experts must not exceed 1024; routing has room for so many
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.moe.experts = 2048;
#endif
    });
static_assert(aeth::validate_model<config>());
