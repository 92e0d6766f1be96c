// expect: aeth: ModelConfig::dense_layers must not exceed ModelConfig::layers; dense layers come first
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.dense_layers = 4;
#endif
    });
static_assert(aeth::validate_model<config>());
