/// The Q8_0 format of GGUF files: 32 values as whole numbers of 8 bits with one scale.
///
/// source   ggml, https://github.com/ggml-org/ggml: `block_q8_0`, `quantize_row_q8_0_ref`
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "aeth/numeric/f16.hpp"

namespace aeth {

/// 34 bytes as in files, for 8.5 bits per value.
struct Q8_0Block {
  static constexpr int size = 32;
  /// Largest magnitude that has a scale: 127 times the largest finite f16.
  static constexpr float largest = 127.0F * 65504.0F;

  f16 scale;
  std::int8_t values[size] = {};
};

static_assert(sizeof(Q8_0Block) == 34 && alignof(Q8_0Block) == 2);

/// Rounds 32 values to a block. The scale is their largest magnitude over 127; values are divided by it
/// before it is rounded to f16, and halves go away from zero: the bits are those of ggml.
///
/// The magnitudes must not exceed Q8_0Block::largest, infinities and NaN even less so.
[[nodiscard]] inline Q8_0Block encode_q8_0(float const* values) noexcept {
  float most = 0;
  for (int i = 0; i < Q8_0Block::size; ++i) most = std::fmax(most, std::fabs(values[i]));
  float const scale = most / 127.0F;
  Q8_0Block block;
  block.scale = to_f16(scale);
  float const inverse = scale > 0 ? 1.0F / scale : 0.0F;
  // Of a scale so small, f16 keeps nothing: the block is zero whatever its numbers.
  if (inverse > (std::numeric_limits<float>::max)()) return block;
  for (int i = 0; i < Q8_0Block::size; ++i)
    block.values[i] = static_cast<std::int8_t>(std::round(values[i] * inverse));
  return block;
}

/// The values of a block: exactly scale · number, rounded to float.
inline void decode_q8_0(Q8_0Block const& block, float* values) noexcept {
  float const scale = static_cast<float>(block.scale);
  for (int i = 0; i < Q8_0Block::size; ++i) values[i] = static_cast<float>(block.values[i]) * scale;
}

}  // namespace aeth
