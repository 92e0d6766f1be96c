/// The IEEE half-precision storage format, as weight files have it.
#pragma once

#include <bit>
#include <cstdint>

namespace aeth {

/// Storage only, and only widened: aeth computes in no half precision. 1 sign, 5 exponent, 10 mantissa bits.
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
};

static_assert(sizeof(f16) == 2);

}  // namespace aeth
