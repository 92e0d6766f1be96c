// expect: aeth: YarnConfig::beta_fast must be finite and not below YarnConfig::beta_slow; the ramp runs
// between them
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope.yarn.beta_fast = 0.5;
#endif
    });
static_assert(aeth::validate_model<config>());
