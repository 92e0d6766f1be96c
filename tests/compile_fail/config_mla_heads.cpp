// expect: aeth: MlaConfig::heads must be positive; attention needs at least one head
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.heads = 0;
#endif
    });
static_assert(aeth::validate_model<config>());
