// expect: aeth: YarnConfig::beta_slow must be positive and finite; it counts rotations
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope.yarn.beta_slow = 0.0;
#endif
    });
static_assert(aeth::validate_model<config>());
