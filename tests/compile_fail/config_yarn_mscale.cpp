// expect: aeth: YarnConfig::mscale must be finite and not negative; DeepSeek uses 0.707 or 1
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope.yarn.mscale = -1.0;
#endif
    });
static_assert(aeth::validate_model<config>());
