// expect: aeth: MlaConfig::v_dim must be positive; it is the width of one value head
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.v_dim = 0;
#endif
    });
static_assert(aeth::validate_model<config>());
