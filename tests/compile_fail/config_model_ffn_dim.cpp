// expect: aeth: ModelConfig::ffn_dim must not be negative; write 0 if every layer has experts
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.ffn_dim = -1;
#endif
    });
static_assert(aeth::validate_model<config>());
