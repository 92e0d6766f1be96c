/// How products of FP8 operands are computed: DeepSeek's recipe, its later scales, and what it was made to avoid.
///
/// source   DeepSeek-V3, arXiv:2412.19437, §3.3.2 (tiles, promotion) and appendix B.2 (square tiles of activations
///          diverge)
#pragma once

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/numeric/block_scales.hpp"

namespace aeth {

/// The defaults are V3's recipe on hardware that adds in FP32. All else is slower, and for study.
struct F8Arithmetic {
  ScaleForm scales = ScaleForm::any;  ///< of weights and of what they multiply
  /// Activations and gradients share a scale in 128 × 128, as weights do, counted from an operand's first row; then a
  /// row's result depends on its neighbours.
  bool square_tiles = false;
  /// Significant bits of a running sum within a product: 24 is FP32. With fewer, sums are those of a tensor core whose
  /// instruction takes 32 steps of k: their products and the sum so far are cut towards zero to multiples of the largest
  /// power of two among them times 2^(1 - bits) and added exactly, then the sum is cut to so many bits. With 14 they are
  /// an H100's, bit for bit (backend/cpu/detail/kernels_tensor_core.hpp).
  int accumulator_bits = 24;
  /// Whether sums are carried to FP32 every 128 steps of k. Without, one running sum goes through all of k, of
  /// products times their scales; makes a difference only with fewer than 24 bits.
  bool promote = true;

  [[nodiscard]] constexpr bool limited() const noexcept { return accumulator_bits < 24; }
  friend constexpr bool operator==(F8Arithmetic const&, F8Arithmetic const&) = default;
};

/// errors   UsageError that names the field, its value and what is allowed
inline void validate(F8Arithmetic const& a) {
  expect<UsageError>((a.accumulator_bits >= 2 && a.accumulator_bits <= 16) || a.accumulator_bits == 24,
                     "F8Arithmetic::accumulator_bits is ", a.accumulator_bits,
                     "; 24 is FP32, 14 a Hopper tensor core; others from 2 to 16 are allowed");
}

}  // namespace aeth
