/// The 8-bit floating-point formats of weight files: E4M3 for values, UE8M0 for scales.
///
/// source   OCP 8-bit Floating Point Specification (E4M3), OCP Microscaling Formats (E8M0); which of them
///          DeepSeek uses: DeepSeek-V3, arXiv:2412.19437, §3.3, and the weight documentation of its repository
#pragma once

#include <bit>
#include <cstdint>

namespace aeth {

/// 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinities, largest value 448. Storage only: it widens to
/// float exactly.
struct e4m3 {
  static constexpr float largest = 448.0f;

  std::uint8_t bits = 0;

  constexpr e4m3() = default;
  /// Rounds to nearest, ties to even; beyond 448, infinities too, it saturates; NaN stays NaN.
  explicit constexpr e4m3(float value) noexcept {
    std::uint32_t const word = std::bit_cast<std::uint32_t>(value), magnitude = word & 0x7FFFFFFFu;
    std::uint32_t code = 0;
    if (magnitude > 0x7F800000u) {
      code = 0x7F;
    } else if (magnitude < 0x3C800000u) {
      // Below 2^-6 codes count units of 2^-9. Adding 2^14 leaves a float whose last bit is such a unit.
      code = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 16384.0f) - 0x46800000u;
    } else {
      code = ((magnitude + 0x7FFFFu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3);
      if (code > 0x7E) code = 0x7E;
    }
    bits = static_cast<std::uint8_t>((word >> 24 & 0x80u) | code);
  }
  explicit constexpr operator float() const noexcept {
    std::uint32_t const sign = static_cast<std::uint32_t>(bits & 0x80u) << 24, code = bits & 0x7Fu;
    if (code == 0x7F) return std::bit_cast<float>(sign | 0x7FC00000u);
    if (code >= 8) return std::bit_cast<float>(sign | (code + (120u << 3)) << 20);
    float const subnormal = static_cast<float>(code) * 0x1p-9f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(subnormal) | sign);
  }
  friend constexpr bool operator==(e4m3, e4m3) = default;
};

/// A power of two from 2^-127 to 2^127, or NaN (0xFF): 8 exponent bits and nothing else.
struct e8m0 {
  std::uint8_t bits = 127;

  explicit constexpr operator float() const noexcept {
    if (bits == 0xFF) return std::bit_cast<float>(0x7FC00000u);
    return bits == 0 ? 0x1p-127f : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 23);
  }
};

static_assert(sizeof(e4m3) == 1 && sizeof(e8m0) == 1);

}  // namespace aeth
