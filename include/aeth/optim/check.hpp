/// Range checks of optimizer and schedule options; each throws a UsageError that names the field.
#pragma once

#include <cmath>
#include <string_view>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"

namespace aeth::optim::detail {

inline void require_positive(std::string_view field, double value) {
  expect<UsageError>(std::isfinite(value) && value > 0.0, field, " must be positive and finite; got ", value);
}

inline void require_not_negative(std::string_view field, double value) {
  expect<UsageError>(std::isfinite(value) && value >= 0.0, field, " must be finite and not negative; got ",
                     value);
}

/// For decay rates of running means and fractions: 0 <= value < 1.
inline void require_below_one(std::string_view field, double value) {
  expect<UsageError>(value >= 0.0 && value < 1.0, field, " must be at least 0 and below 1; got ", value);
}

inline void require_positive_steps(std::string_view field, Index steps) {
  expect<UsageError>(steps > 0, field, " must be positive; got ", steps);
}

inline void require_steps(std::string_view field, Index steps) {
  expect<UsageError>(steps >= 0, field, " must not be negative; got ", steps);
}

/// For the bound of the gradient norm, where infinity means none.
inline void require_clip(std::string_view field, double value) {
  expect<UsageError>(value > 0.0, field, " must be positive (infinity for no clipping); got ", value);
}

}  // namespace aeth::optim::detail
