// expect: aeth: MoeConfig::experts must be positive in a layer with experts
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/validate.hpp"

#ifdef AETH_COMPILE_FAIL_OK
inline constexpr aeth::MoeConfig config = aeth::presets::tiny.moe;
#else
inline constexpr aeth::MoeConfig config{};
#endif
static_assert(aeth::validate_moe<config>());
