// expect: aeth: YarnConfig::factor must be finite and at least 1; write 1 to switch YaRN off
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope.yarn.factor = 0.5;
#endif
    });
static_assert(aeth::validate_model<config>());
