// expect: aeth: ModelConfig::init_std must be positive and finite; equal weights would never grow apart
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.init_std = 0.0;
#endif
    });
static_assert(aeth::validate_model<config>());
