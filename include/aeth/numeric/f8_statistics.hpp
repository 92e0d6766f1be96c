/// What rounding to FP8 with a scale per tile did to numbers.
#pragma once

#include <cmath>
#include <limits>

#include "aeth/core/math.hpp"
#include "aeth/numeric/f8.hpp"

namespace aeth {

/// Counts over tiles of E4M3.
struct F8Statistics {
  Index values = 0;
  Index vanished = 0;   ///< numbers other than 0 whose code is 0
  Index subnormal = 0;  ///< codes with fewer than four significant bits, 0 left out
  Index saturated = 0;  ///< beyond 464 scales, half a step above the largest code
  Index lost = 0;       ///< in tiles with a number that is not finite, which are NaN as a whole
  float least_scale = std::numeric_limits<float>::infinity();
  float largest_scale = 0.0f;  ///< of scales that are finite

  /// One number of a tile.
  void add(float x, float scale) noexcept {
    ++values;
    if (!std::isfinite(scale)) return void(++lost);
    float const size = std::fabs(x / scale), code = static_cast<float>(e4m3(size));
    saturated += size > 464.0f ? 1 : 0;
    vanished += code == 0.0f && x != 0.0f ? 1 : 0;
    subnormal += code > 0.0f && code < 0x1p-6f ? 1 : 0;
  }
  void add_scale(float scale) noexcept {
    if (!std::isfinite(scale)) return;
    least_scale = scale < least_scale ? scale : least_scale;
    largest_scale = scale > largest_scale ? scale : largest_scale;
  }
  friend bool operator==(F8Statistics const&, F8Statistics const&) = default;
};

/// What the operands of products were like, by how they are tiled.
struct F8Observation {
  F8Statistics weights;  ///< 128 × 128
  F8Statistics rows;     ///< activations and gradients as a weight's other operand, 1 × 128
  F8Statistics columns;  ///< activations and gradients as operands of a weight's gradient, 128 × 1

  friend bool operator==(F8Observation const&, F8Observation const&) = default;
};

}  // namespace aeth
