#include "aeth/train/tensorboard.hpp"

#include <limits>

#include "support/catch.hpp"

namespace {
using namespace aeth;
using train::detail::crc32c, train::detail::masked_crc32c;

TEST_CASE("CRC-32C gives the answers of RFC 3720, B.4") {
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  std::string ascending;
  for (char i = 0; i < 32; ++i) ascending += i;
  CHECK(crc32c(ascending) == 0x46DD794Eu);
  CHECK(crc32c("") == 0u);
}

/// A frame's content; checks its checksums.
std::string next_frame(std::string_view& rest) {
  auto const number = [&](std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
      value |= std::uint64_t{static_cast<unsigned char>(rest[at + i])} << 8 * i;
    return value;
  };
  REQUIRE(rest.size() >= 16);
  std::uint64_t const size = number(0, 8);
  CHECK(number(8, 4) == masked_crc32c(rest.substr(0, 8)));
  REQUIRE(rest.size() >= 16 + size);
  std::string const content(rest.substr(12, size));
  CHECK(number(12 + size, 4) == masked_crc32c(content));
  rest.remove_prefix(16 + size);
  return content;
}

TEST_CASE("an event file is a version and a message per row, byte for byte") {
  train::StepTable table{{300}, {"a", "none"}, {{1.0}, {std::numeric_limits<double>::quiet_NaN()}}};
  std::string const file = train::tensorboard_events(table, nullptr, 2.0);
  std::string_view rest = file;
  std::string const two("\x09\0\0\0\0\0\0\0\x40", 9);
  CHECK(next_frame(rest) == two + std::string("\x10\0", 2) + "\x1A\x0D" + "brain.Event:2");
  // step 300 = AC 02; summary of one value: tag "a", 1.0f = 00 00 80 3F
  CHECK(next_frame(rest) == two + "\x10\xAC\x02" + "\x2A\x0A" + "\x0A\x08" + "\x0A\x01" + "a" +
                                std::string("\x15\0\0\x80\x3F", 5));
  CHECK(rest.empty());
}

TEST_CASE("rows without numbers have no message, a row has its time") {
  double const none = std::numeric_limits<double>::quiet_NaN();
  train::StepTable table{{1, 2}, {"x"}, {{none, 1.0}}};
  std::vector<double> const seconds{0.5, 8.0};
  std::string const file = train::tensorboard_events(table, &seconds);
  std::string_view rest = file;
  (void)next_frame(rest);
  std::string const message = next_frame(rest);
  CHECK(message.substr(0, 9) == std::string("\x09\0\0\0\0\0\0\x20\x40", 9));
  CHECK(rest.empty());
}

}  // namespace
