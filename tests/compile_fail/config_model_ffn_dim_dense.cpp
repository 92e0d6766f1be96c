// expect: aeth: ModelConfig::ffn_dim must be positive when a layer is dense; it is the width of the dense FFN
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.ffn_dim = 0;
#endif
    });
static_assert(aeth::validate_model<config>());
