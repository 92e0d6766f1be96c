// Q8_0 against the gguf package, by tests/oracles/make_q8_0.py, and rounding to half precision.
#include "aeth/numeric/q8_0.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "aeth/io/file.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {

/// One block of the fixture.
struct Row {
  float values[32];
  unsigned char packed[34];
  float unpacked[32];
};

}  // namespace

TEST_CASE("Q8_0 blocks are those of the gguf package, bit for bit", "[numeric][q8_0]") {
  std::string const file = io::read_file(AETH_TEST_DATA_DIR "/unit/numeric/data/q8_0.bin");
  constexpr std::size_t row_bytes = 128 + 34 + 128;
  REQUIRE(file.size() % row_bytes == 0);
  CHECK(file.size() / row_bytes == 31);
  for (std::size_t at = 0; at < file.size(); at += row_bytes) {
    INFO("block " << at / row_bytes);
    Row row;
    std::memcpy(row.values, file.data() + at, 128);
    std::memcpy(row.packed, file.data() + at + 128, 34);
    std::memcpy(row.unpacked, file.data() + at + 162, 128);
    Q8_0Block const block = encode_q8_0(row.values);
    CHECK(std::memcmp(&block, row.packed, 34) == 0);
    float decoded[32];
    decode_q8_0(block, decoded);
    CHECK(std::memcmp(decoded, row.unpacked, 128) == 0);
  }
}

TEST_CASE("Q8_0 at the ends of its range", "[numeric][q8_0]") {
  float values[32] = {Q8_0Block::largest, -Q8_0Block::largest, 1.0F};
  float decoded[32];
  decode_q8_0(encode_q8_0(values), decoded);
  CHECK(decoded[0] == Q8_0Block::largest);
  CHECK(decoded[1] == -Q8_0Block::largest);
  for (float const tiny : {std::numeric_limits<float>::denorm_min(), 1e-44F, 1e-38F}) {
    for (float& v : values) v = -tiny;
    decode_q8_0(encode_q8_0(values), decoded);
    for (float const v : decoded) CHECK(v == 0.0F);
  }
}

TEST_CASE("every f16 code survives the way to float and back", "[numeric][f16]") {
  for (std::uint32_t code = 0; code < 0x10000u; ++code) {
    f16 const half{static_cast<std::uint16_t>(code)};
    bool const nan = (code & 0x7FFFu) > 0x7C00u;
    std::uint32_t const expected = nan ? code | 0x200u : code;
    if (to_f16(static_cast<float>(half)).bits != expected) FAIL("code " << code);
  }
}

TEST_CASE("float to f16 goes to the nearest, ties to even", "[numeric][f16]") {
  for (std::uint32_t code = 0; code < 0x7C00u; ++code) {  // the next code after the last one is infinity
    float const low = static_cast<float>(f16{static_cast<std::uint16_t>(code)});
    float const high =
        code == 0x7BFFu ? 65536.0F : static_cast<float>(f16{static_cast<std::uint16_t>(code + 1)});
    float const middle = low + (high - low) / 2;  // exact
    auto const even = static_cast<std::uint16_t>(code + (code & 1u));
    bool const good = to_f16(middle).bits == even && to_f16(-middle).bits == (even | 0x8000u) &&
                      to_f16(std::nextafter(middle, 0.0F)).bits == code &&
                      to_f16(std::nextafter(middle, 1e9F)).bits == code + 1;
    if (!good) FAIL("between codes " << code << " and " << code + 1);
  }
  CHECK(to_f16(1e9F).bits == 0x7C00);
  CHECK(to_f16(-std::numeric_limits<float>::infinity()).bits == 0xFC00);
  CHECK(to_f16(-0.0F).bits == 0x8000);
}
