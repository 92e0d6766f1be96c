/// What rounding to FP8 with a scale per tile did to numbers.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

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
  F8Statistics& operator+=(F8Statistics const& other) noexcept {
    values += other.values;
    vanished += other.vanished;
    subnormal += other.subnormal;
    saturated += other.saturated;
    lost += other.lost;
    least_scale = other.least_scale < least_scale ? other.least_scale : least_scale;
    largest_scale = other.largest_scale > largest_scale ? other.largest_scale : largest_scale;
    return *this;
  }
  friend bool operator==(F8Statistics const&, F8Statistics const&) = default;
};

/// Which operand of a product with a weight.
enum class F8Operand {
  weight,            ///< 128 × 128
  rows,              ///< what the weight multiplies, an activation or, in backward, a gradient; 1 × 128
  gradient_columns,  ///< in the weight's gradient, the gradient of the product's result; 128 × 1
  input_columns,     ///< there, what the weight multiplied; 128 × 1
};

/// What the operands of products were like, by the place of the weight in memory: its packed form, or its gradient.
class F8Observation {
 public:
  /// Begins empty; valid until the next call.
  [[nodiscard]] F8Statistics& at(void const* place, F8Operand operand) { return part(key(place, operand)); }
  /// Empty for what was not seen.
  [[nodiscard]] F8Statistics of(void const* place, F8Operand operand) const {
    std::uintptr_t const wanted = key(place, operand);
    std::size_t const i = position(wanted);
    return i < parts_.size() && parts_[i].where == wanted ? parts_[i].statistics : F8Statistics{};
  }
  /// Of all places.
  [[nodiscard]] F8Statistics total(F8Operand operand) const {
    F8Statistics sum;
    for (Part const& part : parts_)
      if (part.where % 4 == static_cast<std::uintptr_t>(operand)) sum += part.statistics;
    return sum;
  }
  void clear() { parts_.clear(); }
  F8Observation& operator+=(F8Observation const& other) {
    for (Part const& seen : other.parts_) part(seen.where) += seen.statistics;
    return *this;
  }

  friend bool operator==(F8Observation const&, F8Observation const&) = default;

 private:
  struct Part {
    std::uintptr_t where = 0;
    F8Statistics statistics;
    friend bool operator==(Part const&, Part const&) = default;
  };

  /// Weights and gradients lie at multiples of four bytes.
  [[nodiscard]] static std::uintptr_t key(void const* place, F8Operand operand) {
    return reinterpret_cast<std::uintptr_t>(place) + static_cast<std::uintptr_t>(operand);
  }
  [[nodiscard]] F8Statistics& part(std::uintptr_t where) {
    std::size_t const i = position(where);
    if (i == parts_.size() || parts_[i].where != where)
      parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(i), {where, {}});
    return parts_[i].statistics;
  }
  /// Of the first part at `where` or after it.
  [[nodiscard]] std::size_t position(std::uintptr_t where) const {
    std::size_t low = 0;
    for (std::size_t high = parts_.size(); low < high;) {
      std::size_t const middle = (low + high) / 2;
      if (parts_[middle].where < where)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  std::vector<Part> parts_;  ///< ascending; a map would be another header in every program
};

}  // namespace aeth
