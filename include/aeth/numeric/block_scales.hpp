/// Matrices in FP8 with one scale per square block, as DeepSeek's checkpoints have them: w = code · scale.
///
/// legend   O, I rows and columns of a matrix · blocks of 128 × 128, those at the edges may be smaller
/// source   DeepSeek-V3, arXiv:2412.19437, §3.3.2; the rule of its repository's `inference/fp8_cast_bf16.py`:
///          the stored `weight_scale_inv` is the factor that brings codes back
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "aeth/core/math.hpp"
#include "aeth/core/view.hpp"
#include "aeth/numeric/f8.hpp"

namespace aeth {

inline constexpr Index scale_block = 128;  ///< rows and columns that share a scale

/// Which scales quantisation may choose.
enum class ScaleForm {
  any,           ///< largest magnitude / 448 (V3, R1)
  power_of_two,  ///< the next power of two above that (V3.1 and later, "ue8m0")
};

namespace detail {

/// The largest magnitude of a block; NaN and infinities count as 0.
[[nodiscard]] inline float largest_magnitude(MatrixView<float const> block) noexcept {
  float largest = 0;
  for (Index i = 0; i < block.rows; ++i)
    for (Index j = 0; j < block.cols; ++j) {
      float const magnitude = std::fabs(block(i, j));
      if (magnitude > largest && magnitude <= 3.4028235e38f) largest = magnitude;
    }
  return largest;
}

/// Whether codes of this scale give back every value of the block bit for bit.
[[nodiscard]] inline bool is_exact(MatrixView<float const> block, float scale) noexcept {
  for (Index i = 0; i < block.rows; ++i)
    for (Index j = 0; j < block.cols; ++j)
      if (static_cast<float>(e4m3(block(i, j) / scale)) * scale != block(i, j)) return false;
  return true;
}

}  // namespace detail

/// The scale of a block whose largest magnitude is given: largest / 448, or the next power of two above it; 1 for a block of zeros.
///
/// Where a block came from codes, rounding may have moved its largest value, so of the scales that could have made
/// it one that gives every value back is preferred: then quantising what was read from a checkpoint gives the
/// checkpoint's codes and scales. The values are the same in any case; the bytes could differ only in blocks so
/// small, or so coarse, that several scales give back all of their values.
///
/// cost     reads the block twice, up to five times more where the first scale is not exact
[[nodiscard]] inline float block_scale(MatrixView<float const> block, float largest,
                                       ScaleForm form) noexcept {
  if (largest == 0.0f) return 1.0f;
  float const scale = (max)(largest / e4m3::largest, 0x1p-126f);
  if (form == ScaleForm::power_of_two) {
    float const power = static_cast<float>(e8m0::at_least(scale));
    if (power != scale) return power;
    // The largest value is 448 scales, or was rounded down to 224 of twice that.
    return detail::is_exact(block, 2 * scale) ? 2 * scale : scale;
  }
  for (int const step : {0, 1, -1, 2, -2}) {
    float const candidate =
        std::bit_cast<float>(std::bit_cast<std::uint32_t>(scale) + static_cast<std::uint32_t>(step));
    if (detail::is_exact(block, candidate)) return candidate;
  }
  return scale;
}
[[nodiscard]] inline float block_scale(MatrixView<float const> block, ScaleForm form) noexcept {
  return block_scale(block, detail::largest_magnitude(block), form);
}

/// The scales [⌈I/128⌉] of a strip w [at most 128, I]; padding beyond the edges of a matrix counts as zero.
inline void strip_scales(MatrixView<float const> w, ScaleForm form, float* scales) noexcept {
  for (Index j = 0; j < w.cols; j += scale_block)
    scales[j / scale_block] = block_scale(w.col_slice(j, (min)(scale_block, w.cols - j)), form);
}

/// codes = w / scale for a strip and its scales.
inline void quantize_strip(MatrixView<float const> w, float const* scales, e4m3* codes) noexcept {
  for (Index i = 0; i < w.rows; ++i)
    for (Index j = 0; j < w.cols; ++j) codes[i * w.cols + j] = e4m3(w(i, j) / scales[j / scale_block]);
}

/// out[j] = codes[j] · scales[j / 128] for one row of I columns, in float and then converted to T.
template <class T>
void dequantize_row(e4m3 const* codes, float const* scales, Index columns, T* out) noexcept {
  for (Index j0 = 0; j0 < columns; j0 += scale_block) {
    float const scale = scales[j0 / scale_block];
    for (Index j = j0; j < (min)(columns, j0 + scale_block); ++j)
      out[j] = static_cast<T>(static_cast<float>(codes[j]) * scale);
  }
}

}  // namespace aeth
