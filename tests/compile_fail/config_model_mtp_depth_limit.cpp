// expect: aeth: ModelConfig::mtp_depth must not exceed 8; DeepSeek-V3 uses 1
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mtp_depth = 9;
#endif
    });
static_assert(aeth::validate_model<config>());
