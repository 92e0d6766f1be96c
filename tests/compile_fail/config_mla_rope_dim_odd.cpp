// expect: aeth: MlaConfig::rope_dim must be even; the rotation acts on pairs
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope_dim = 7;
#endif
    });
static_assert(aeth::validate_model<config>());
