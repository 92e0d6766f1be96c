// expect: aeth: MoeConfig::groups must divide MoeConfig::experts; all groups have the same size
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.moe.groups = 3;
#endif
    });
static_assert(aeth::validate_model<config>());
