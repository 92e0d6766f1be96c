// expect: aeth: RopeConfig::theta must be above 1 and finite; frequencies fall as theta^(-2i/rope_dim)
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope.theta = 1.0;
#endif
    });
static_assert(aeth::validate_model<config>());
