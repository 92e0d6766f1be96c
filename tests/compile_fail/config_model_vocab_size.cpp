// expect: aeth: ModelConfig::vocab_size must be positive; it is the number of tokens
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.vocab_size = 0;
#endif
    });
static_assert(aeth::validate_model<config>());
