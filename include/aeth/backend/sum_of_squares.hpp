/// Σ x² of a flat buffer [n] in one order, whatever the number of threads: blocks of 4096 elements; within a
/// block 16 lanes in double (element i in lane i mod 16), joined as a binary tree; blocks added in order of
/// position. Blocks may be computed in parallel. The reference backend promises no bits and sums in sequence.
#pragma once

#include <cmath>
#include <concepts>

#include "aeth/core/math.hpp"

namespace aeth {

inline constexpr Index squares_block = 4096;  ///< elements
inline constexpr Index squares_lanes = 16;

[[nodiscard]] constexpr Index squares_block_count(Index elements) noexcept {
  return ceil_div(elements, squares_block);
}

/// Sum of squares of block number `block` of n elements; the last block may be shorter. No float overflows.
template <std::floating_point T>
[[nodiscard]] double block_sum_of_squares(T const* x, Index n, Index block) noexcept {
  double lanes[squares_lanes] = {};
  Index const begin = block * squares_block, end = min(begin + squares_block, n);
  auto const add = [&](Index i, Index lane) {
    auto const value = static_cast<double>(x[i]);
    // A square of a float is exact in double, so it does not matter whether a compiler fuses the two.
    if constexpr (sizeof(T) <= 4)
      lanes[lane] += value * value;
    else
      lanes[lane] = std::fma(value, value, lanes[lane]);
  };
  Index i = begin;
  for (; i + squares_lanes <= end; i += squares_lanes)
    for (Index lane = 0; lane < squares_lanes; ++lane) add(i + lane, lane);
  for (Index lane = 0; i < end; ++i, ++lane) add(i, lane);
  for (Index half = squares_lanes / 2; half > 0; half /= 2)
    for (Index lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

}  // namespace aeth
