/// The IEEE half-precision storage format, as weight files have it.
#pragma once

#include <bit>
#include <cstdint>

namespace aeth {

/// Storage only: aeth computes in no half precision. 1 sign, 5 exponent, 10 mantissa bits.
struct f16 {
  std::uint16_t bits = 0;

  /// Exact for every value; infinities and NaN stay what they are.
  explicit constexpr operator float() const noexcept {
    std::uint32_t const sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
    std::uint32_t const exponent = bits >> 10 & 31u, mantissa = bits & 0x3FFu;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | mantissa << 13);
    if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112u) << 23 | mantissa << 13);
    float const magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal: units of 2^-24
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  friend constexpr bool operator==(f16, f16) = default;
};

static_assert(sizeof(f16) == 2);

/// Rounds to nearest, ties to even; NaN stays NaN (quiet), overflow becomes infinity.
[[nodiscard]] constexpr f16 to_f16(float value) noexcept {
  std::uint32_t const word = std::bit_cast<std::uint32_t>(value);
  std::uint32_t const magnitude = word & 0x7FFFFFFFu;
  std::uint32_t code = 0;
  if (magnitude > 0x7F800000u) {
    code = 0x7E00u | (magnitude >> 13 & 0x3FFu);
  } else if (magnitude >= 0x47800000u) {  // 65536 and more; from 65520 on, rounding below reaches infinity
    code = 0x7C00u;
  } else if (magnitude >= 0x38800000u) {  // normal: 2^-14 and more
    code = (magnitude + 0xFFFu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
  } else if (magnitude >= 0x33000000u) {  // subnormal: units of 2^-24, of which half a one rounds to 0
    std::uint32_t const mantissa = (magnitude & 0x7FFFFFu) | 0x800000u, shift = 126u - (magnitude >> 23);
    std::uint32_t const below = mantissa & ((1u << shift) - 1u), half = 1u << (shift - 1u);
    code = mantissa >> shift;
    code += below > half || (below == half && (code & 1u) != 0) ? 1u : 0u;
  }
  return {static_cast<std::uint16_t>(code | (word >> 16 & 0x8000u))};
}

}  // namespace aeth
