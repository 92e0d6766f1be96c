/// The 8-bit floating-point formats: E4M3 and E5M2 for values, UE8M0 for scales.
///
/// Conversions from float saturate. They give the codes of CUDA 13.0's host code for every float, NaN of either sign
/// included.
///
/// source   OCP 8-bit Floating Point Specification (E4M3, E5M2), OCP Microscaling Formats (E8M0); which of them
///          DeepSeek uses: DeepSeek-V3, arXiv:2412.19437, §3.3, and the weight documentation of its repository
#pragma once

#include <bit>
#include <cstdint>

#include "aeth/numeric/f16.hpp"

namespace aeth {

namespace detail {

/// The code of |value|, which is not NaN, in a format of so many mantissa bits and that bias: the nearest one, of
/// two equally near ones the even one, and never more than `largest`. Takes the bits of the magnitude.
template <std::uint32_t mantissa, std::uint32_t bias, std::uint32_t largest>
[[nodiscard]] constexpr std::uint32_t f8_code(std::uint32_t magnitude) noexcept {
  constexpr std::uint32_t dropped = 23 - mantissa;
  if (magnitude < (128 - bias) << 23) {
    // Below the normal numbers codes count units of one size. Added to a float whose last bit is such a unit, the
    // value is rounded to units; their number is in the last bits.
    constexpr std::uint32_t rounder = (128 - bias + dropped) << 23;
    return std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + std::bit_cast<float>(rounder)) -
           rounder;
  }
  std::uint32_t const rounded = magnitude + ((1u << (dropped - 1)) - 1) + (magnitude >> dropped & 1u);
  std::uint32_t const code = (rounded >> dropped) - ((127 - bias) << mantissa);
  return code < largest ? code : largest;
}

/// Sign and code of any value: f8_code, or 0x7F for NaN.
template <std::uint32_t mantissa, std::uint32_t bias, std::uint32_t largest>
[[nodiscard]] constexpr std::uint8_t f8_bits(float value) noexcept {
  std::uint32_t const word = std::bit_cast<std::uint32_t>(value), magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return 0x7F;
  return static_cast<std::uint8_t>((word >> 24 & 0x80u) | f8_code<mantissa, bias, largest>(magnitude));
}

}  // namespace detail

/// 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinities, largest value 448. Storage only: it widens to
/// float exactly.
struct e4m3 {
  static constexpr float largest = 448.0f;

  std::uint8_t bits = 0;

  constexpr e4m3() = default;
  /// Rounds to nearest, ties to even; beyond 448, infinities too, it saturates; NaN becomes 0x7F.
  explicit constexpr e4m3(float value) noexcept : bits(detail::f8_bits<3, 7, 0x7E>(value)) {}
  explicit constexpr operator float() const noexcept {
    std::uint32_t const sign = static_cast<std::uint32_t>(bits & 0x80u) << 24, code = bits & 0x7Fu;
    if (code == 0x7F) return std::bit_cast<float>(sign | 0x7FC00000u);
    if (code >= 8) return std::bit_cast<float>(sign | (code + (120u << 3)) << 20);
    float const subnormal = static_cast<float>(code) * 0x1p-9f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(subnormal) | sign);
  }
  friend constexpr bool operator==(e4m3, e4m3) = default;
};

/// 1 sign, 5 exponent (bias 15), 2 mantissa bits: the upper half of f16, with infinities; largest finite value
/// 57344. Storage only: it widens to float exactly.
struct e5m2 {
  static constexpr float largest = 57344.0f;

  std::uint8_t bits = 0;

  constexpr e5m2() = default;
  /// Rounds to nearest, ties to even; beyond 57344, infinities too, it saturates; NaN becomes 0x7F.
  explicit constexpr e5m2(float value) noexcept : bits(detail::f8_bits<2, 15, 0x7B>(value)) {}
  explicit constexpr operator float() const noexcept {
    return static_cast<float>(f16{static_cast<std::uint16_t>(bits << 8)});
  }
  friend constexpr bool operator==(e5m2, e5m2) = default;
};

/// A power of two from 2^-127 to 2^127, or NaN (0xFF): 8 exponent bits and nothing else. There is no zero and no
/// sign: the roundings take the magnitude and saturate at both ends, so 0 becomes 2^-127 and infinity 2^127.
struct e8m0 {
  std::uint8_t bits = 127;

  /// The smallest power of two at or above |value|. Of largest / 448 it is the scale of a block that DeepSeek-V3.1
  /// takes: no value of the block saturates.
  [[nodiscard]] static constexpr e8m0 at_least(float value) noexcept {
    std::uint32_t const magnitude = std::bit_cast<std::uint32_t>(value) & 0x7FFFFFFFu;
    if (magnitude <= 0x00400000u) return {0};  // up to 2^-127, a subnormal float
    return saturated(magnitude, (magnitude + 0x7FFFFFu) >> 23);
  }
  /// The largest power of two at or below |value|. Of the largest magnitude, over the largest power of two among
  /// codes, it is the scale of OCP's block formats (arXiv:2310.10537, algorithm 1): the largest values may saturate.
  [[nodiscard]] static constexpr e8m0 at_most(float value) noexcept {
    std::uint32_t const magnitude = std::bit_cast<std::uint32_t>(value) & 0x7FFFFFFFu;
    return saturated(magnitude, magnitude >> 23);
  }

  explicit constexpr operator float() const noexcept {
    if (bits == 0xFF) return std::bit_cast<float>(0x7FC00000u);
    return bits == 0 ? 0x1p-127f : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 23);
  }
  friend constexpr bool operator==(e8m0, e8m0) = default;

 private:
  /// `code`, or the last finite one beyond it, or NaN's where the magnitude is NaN's.
  [[nodiscard]] static constexpr e8m0 saturated(std::uint32_t magnitude, std::uint32_t code) noexcept {
    if (magnitude > 0x7F800000u) return {0xFF};
    return {static_cast<std::uint8_t>(code < 0xFEu ? code : 0xFEu)};
  }
};

static_assert(sizeof(e4m3) == 1 && sizeof(e5m2) == 1 && sizeof(e8m0) == 1);

}  // namespace aeth
