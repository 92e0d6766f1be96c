#include "aeth/core/random.hpp"

#include "support/catch.hpp"

TEST_CASE("philox gives the published known answers", "[core]") {
  // Random123 1.14, kat_vectors, philox4x32 with 10 rounds.
  using Words = std::array<std::uint32_t, 4>;
  CHECK(aeth::philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(aeth::philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("a stream resumes at a saved position", "[core]") {
  aeth::Random stream(7, aeth::RandomUse::test, 3);
  for (int i = 0; i < 5; ++i) stream.bits();
  auto const position = stream.position();
  auto const next = stream.bits64();
  aeth::Random resumed(7, aeth::RandomUse::test, 3);
  resumed.seek(position);
  CHECK(resumed.bits64() == next);
  CHECK(stream.uniform() == Catch::Approx(resumed.uniform()));
}
