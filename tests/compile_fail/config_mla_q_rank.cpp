// expect: aeth: MlaConfig::q_rank must not be negative; write 0 for queries without compression
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.mla.q_rank = -1;
#endif
    });
static_assert(aeth::validate_model<config>());
