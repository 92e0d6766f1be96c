/// The bfloat16 format: the upper half of an IEEE single.
#pragma once

#include <bit>
#include <cstdint>

namespace aeth {

/// Products of a backend take it as it is; all other arithmetic widens it to float, exactly. 1 sign, 8 exponent and 7 mantissa bits.
struct bf16 {
  std::uint16_t bits = 0;

  constexpr bf16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN (quiet), overflow becomes infinity.
  explicit constexpr bf16(float value) noexcept {
    std::uint32_t const word = std::bit_cast<std::uint32_t>(value);
    bool const nan = (word & 0x7FFFFFFFu) > 0x7F800000u;
    bits = nan ? static_cast<std::uint16_t>(word >> 16 | 0x40u)
               : static_cast<std::uint16_t>((word + 0x7FFFu + (word >> 16 & 1u)) >> 16);
  }
  explicit constexpr operator float() const noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  friend constexpr bool operator==(bf16, bf16) = default;
};

static_assert(sizeof(bf16) == 2);

}  // namespace aeth
