// expect: aeth: MoeConfig::groups must leave two experts in each group; bias_corrected scores a group by its
// two best
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

inline constexpr aeth::ModelConfig config =
    aeth::with(aeth::presets::tiny, []([[maybe_unused]] aeth::ModelConfig& c) {
#ifndef AETH_COMPILE_FAIL_OK
      c.moe.groups = 8;
#endif
    });
static_assert(aeth::validate_model<config>());
