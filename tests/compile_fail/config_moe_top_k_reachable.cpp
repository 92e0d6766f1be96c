// expect: aeth: MoeConfig::top_k must not exceed the experts of the kept groups; raise top_groups or lower
// top_k
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.moe.top_k = 5;
#endif
    });
static_assert(aeth::validate_model<config>());
