// expect: aeth: YarnConfig::mscale_all_dim must be finite and not negative; write 0 for no softmax correction
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.rope.yarn.mscale_all_dim = -1.0;
#endif
    });
static_assert(aeth::validate_model<config>());
