// Rounding to bfloat16, every code and every tie.
#include "aeth/numeric/bf16.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "support/catch.hpp"

using aeth::bf16;

namespace {

bf16 code(std::uint32_t bits) {
  bf16 value;
  value.bits = static_cast<std::uint16_t>(bits);
  return value;
}
bf16 rounded(std::uint32_t float_bits) {
  return bf16(std::bit_cast<float>(float_bits));
}
bool is_nan(std::uint32_t bits) {
  return (bits & 0x7FFFu) > 0x7F80u;
}

}  // namespace

TEST_CASE("every bf16 code survives the way to float and back", "[numeric]") {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    float const wide = static_cast<float>(code(bits));
    REQUIRE(std::isnan(wide) == is_nan(bits));
    if (is_nan(bits)) {
      REQUIRE(bf16(wide).bits == (bits | 0x40u));  // quiet, sign and payload kept
    } else {
      REQUIRE(std::bit_cast<std::uint32_t>(wide) == bits << 16);
      REQUIRE(bf16(wide) == code(bits));
    }
  }
}

TEST_CASE("between any two neighbours the nearer one is taken, and the even one at half way", "[numeric]") {
  // Magnitudes ascend with the code; 0x7F7F is the largest finite one, above it comes infinity.
  for (std::uint32_t sign : {0u, 0x8000u})
    for (std::uint32_t bits = 0; bits < 0x7F80u; ++bits) {
      std::uint32_t const low = (sign | bits) << 16, lower = sign | bits, upper = lower + 1;
      REQUIRE(rounded(low + 1).bits == lower);
      REQUIRE(rounded(low + 0x7FFF).bits == lower);
      REQUIRE(rounded(low + 0x8000).bits == (bits % 2 == 0 ? lower : upper));
      REQUIRE(rounded(low + 0x8001).bits == upper);
      REQUIRE(rounded(low + 0xFFFF).bits == upper);
    }
}

TEST_CASE("bf16 keeps zeros, infinities and NaN", "[numeric]") {
  float const infinity = std::numeric_limits<float>::infinity();
  CHECK(bf16(0.0f).bits == 0x0000u);
  CHECK(bf16(-0.0f).bits == 0x8000u);
  CHECK(bf16(infinity).bits == 0x7F80u);
  CHECK(bf16(-infinity).bits == 0xFF80u);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7F80u);
  // A NaN whose payload lies in the lost half must not become an infinity.
  for (std::uint32_t const nan :
       {0x7F800001u, 0x7F80FFFFu, 0xFF800001u, 0x7FFFFFFFu, 0xFFFFFFFFu, 0x7FC00000u})
    CHECK(std::isnan(static_cast<float>(rounded(nan))));
}

TEST_CASE("rounding to bf16 errs by at most half a spacing", "[numeric]") {
  for (std::uint32_t bits = 0x00800000u; bits < 0x7F000000u; bits += 7919) {
    float const x = std::bit_cast<float>(bits);
    REQUIRE(std::fabs(static_cast<float>(bf16(x)) - x) <= x * 0x1p-8f);
  }
}
