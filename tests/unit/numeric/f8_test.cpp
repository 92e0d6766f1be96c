#include "aeth/numeric/f8.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace aeth;

namespace {

/// The value of a code by the definition of the format.
double value_of(int code) {
  int const exponent = code >> 3 & 15, mantissa = code & 7;
  double const magnitude =
      exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 7 - 3);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

}  // namespace

TEST_CASE("every E4M3 code has the value that the format defines", "[numeric][f8]") {
  for (int code = 0; code < 256; ++code) {
    float const value = static_cast<float>(std::bit_cast<e4m3>(static_cast<std::uint8_t>(code)));
    INFO("code " << code);
    if ((code & 0x7F) == 0x7F) {
      CHECK(std::isnan(value));
      continue;
    }
    CHECK(static_cast<double>(value) == value_of(code));
    CHECK(std::signbit(value) == ((code & 0x80) != 0));
    CHECK(e4m3(value).bits == code);
  }
  CHECK(e4m3(1.0f).bits == 0x38);
  CHECK(e4m3(448.0f).bits == 0x7E);
}

TEST_CASE("E4M3 rounds to the nearest code, ties to the even one", "[numeric][f8]") {
  for (int code = 0; code < 0x7E; ++code) {
    auto const low = static_cast<float>(value_of(code)), high = static_cast<float>(value_of(code + 1));
    float const middle = (low + high) / 2;  // exact: two neighbours share all but the last bits
    INFO("between " << low << " and " << high);
    CHECK(e4m3(middle).bits == (code % 2 == 0 ? code : code + 1));
    CHECK(e4m3(std::nextafter(middle, 0.0f)).bits == code);
    CHECK(e4m3(std::nextafter(middle, 1e9f)).bits == code + 1);
    CHECK(e4m3(-middle).bits == (e4m3(middle).bits | 0x80));
  }
}

TEST_CASE("E4M3 saturates, and NaN stays NaN", "[numeric][f8]") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (float const value : {448.1f, 464.0f, 480.0f, 1e30f, std::numeric_limits<float>::max(), infinity}) {
    CHECK(e4m3(value).bits == 0x7E);
    CHECK(e4m3(-value).bits == 0xFE);
  }
  CHECK(e4m3(std::numeric_limits<float>::denorm_min()).bits == 0);
  CHECK((e4m3(std::numeric_limits<float>::quiet_NaN()).bits & 0x7F) == 0x7F);
}

TEST_CASE("UE8M0 codes are powers of two", "[numeric][f8]") {
  for (int code = 0; code < 255; ++code)
    CHECK(static_cast<double>(static_cast<float>(e8m0{static_cast<std::uint8_t>(code)})) ==
          std::ldexp(1.0, code - 127));
  CHECK(std::isnan(static_cast<float>(e8m0{255})));
}
