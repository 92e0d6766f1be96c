// The 8-bit formats against their definitions, and against CUDA by tests/oracles/make_f8.cpp.
#include "aeth/numeric/f8.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <ios>
#include <limits>
#include <sstream>

#include "aeth/io/file.hpp"
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

/// The codes of a float as the table of CUDA's has them: E4M3, E5M2, E8M0 rounded up, E8M0 rounded toward zero.
std::uint32_t codes_of(std::uint32_t bits) {
  auto const value = std::bit_cast<float>(bits);
  std::uint32_t codes = 0;
  for (std::uint8_t const code :
       {e4m3(value).bits, e5m2(value).bits, e8m0::at_least(value).bits, e8m0::at_most(value).bits})
    codes = codes << 8 | code;
  return codes;
}

/// Whether they are the same float, any NaN being the same as another.
bool same(float value, std::uint32_t bits) {
  auto const other = std::bit_cast<float>(bits);
  return std::isnan(other) ? std::isnan(value) : std::bit_cast<std::uint32_t>(value) == bits;
}

static_assert(e5m2(61440.0f).bits == 0x7B && static_cast<float>(e5m2(-0.75f)) == -0.75f);
static_assert(e8m0::at_least(3.0f).bits == 129 && e8m0::at_most(3.0f).bits == 128);

}  // namespace

TEST_CASE("8-bit formats are those of CUDA, bit for bit", "[numeric][f8]") {
  std::istringstream table(io::read_file(AETH_TEST_DATA_DIR "/unit/numeric/data/f8.txt"));
  table >> std::hex;
  for (std::uint32_t expected = 0; expected < 256; ++expected) {
    std::uint32_t code = 0, e4m3_value = 0, e5m2_value = 0, e8m0_value = 0;
    table >> code >> e4m3_value >> e5m2_value >> e8m0_value;
    REQUIRE(code == expected);
    INFO("code " << code);
    auto const bits = static_cast<std::uint8_t>(code);
    CHECK(same(static_cast<float>(std::bit_cast<e4m3>(bits)), e4m3_value));
    CHECK(same(static_cast<float>(std::bit_cast<e5m2>(bits)), e5m2_value));
    CHECK(same(static_cast<float>(e8m0{bits}), e8m0_value));
  }
  int rows = 0;
  for (std::uint32_t bits = 0, plus = 0, minus = 0; table >> bits >> plus >> minus; ++rows) {
    INFO("value " << std::bit_cast<float>(bits) << ", bits " << bits);
    CHECK(codes_of(bits) == plus);
    CHECK(codes_of(bits | 0x80000000u) == minus);
  }
  CHECK(table.eof());
  CHECK(rows == 2503);
}

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

TEST_CASE("every E5M2 code has the value that the format defines", "[numeric][f8]") {
  for (int code = 0; code < 0x7C; ++code) {
    int const exponent = code >> 2, mantissa = code & 3;
    double const value =
        exponent == 0 ? std::ldexp(mantissa, -16) : std::ldexp(4 + mantissa, exponent - 15 - 2);
    INFO("code " << code);
    CHECK(static_cast<double>(static_cast<float>(std::bit_cast<e5m2>(static_cast<std::uint8_t>(code)))) ==
          value);
    CHECK(e5m2(static_cast<float>(value)).bits == code);
    CHECK(e5m2(static_cast<float>(-value)).bits == (code | 0x80));
  }
  CHECK(e5m2(e5m2::largest).bits == 0x7B);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(static_cast<float>(std::bit_cast<e5m2>(std::uint8_t{0x7C})) == infinity);
  CHECK(static_cast<float>(std::bit_cast<e5m2>(std::uint8_t{0xFC})) == -infinity);
  CHECK(e5m2(infinity).bits == 0x7B);
}

TEST_CASE("UE8M0 codes are powers of two", "[numeric][f8]") {
  for (int code = 0; code < 255; ++code)
    CHECK(static_cast<double>(static_cast<float>(e8m0{static_cast<std::uint8_t>(code)})) ==
          std::ldexp(1.0, code - 127));
  CHECK(std::isnan(static_cast<float>(e8m0{255})));
}
