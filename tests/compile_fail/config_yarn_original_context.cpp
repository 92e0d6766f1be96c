// expect: aeth: YarnConfig::original_context must be positive; it is the context before extension
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope.yarn.original_context = 0;
#endif
    });
static_assert(aeth::validate_model<config>());
