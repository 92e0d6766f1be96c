// expect: aeth: MlaConfig::norm_eps must be positive and finite; it keeps the latent norms away from 1/0
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.norm_eps = 0.0;
#endif
    });
static_assert(aeth::validate_model<config>());
