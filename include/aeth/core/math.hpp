/// Small integer helpers that compile on host and device alike.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aeth {

/// Signed size and index type: differences and reverse loops stay safe, and 61-layer models overflow 32 bits.
using Index = std::int64_t;

// The parentheses keep function-like macros named min and max, which users may have, from being expanded.
template <class T>
[[nodiscard]] constexpr T(min)(T a, T b) noexcept {
  return b < a ? b : a;
}

template <class T>
[[nodiscard]] constexpr T(max)(T a, T b) noexcept {
  return a < b ? b : a;
}

/// Smallest q with q·d >= n, for n >= 0 and d > 0.
template <class T>
[[nodiscard]] constexpr T ceil_div(T n, T d) noexcept {
  return (n + d - 1) / d;
}

/// Smallest multiple of d that is >= n, for n >= 0 and d > 0.
template <class T>
[[nodiscard]] constexpr T round_up(T n, T d) noexcept {
  return ceil_div(n, d) * d;
}

/// Index as an unsigned size, for the standard containers; n must be >= 0.
[[nodiscard]] constexpr std::size_t to_size(Index n) noexcept {
  return static_cast<std::size_t>(n);
}

/// The least power of two that is not below n, for n >= 1.
[[nodiscard]] constexpr Index power_of_two(Index n) noexcept {
  Index p = 1;
  while (p < n) p *= 2;
  return p;
}

}  // namespace aeth
