#include "aeth/core/random.hpp"

#include <array>
#include <cmath>
#include <cstdint>

#include "support/catch.hpp"

TEST_CASE("philox gives the published known answers", "[core]") {
  // Random123 1.14, kat_vectors, philox4x32 with 10 rounds: all of the file's vectors.
  using Words = std::array<std::uint32_t, 4>;
  CHECK(aeth::philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(aeth::philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(aeth::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  static_assert(aeth::philox({0, 0, 0, 0}, {0, 0})[0] == 0x6627e8d5);
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

TEST_CASE("every position of a stream can be sought", "[core]") {
  std::array<std::uint32_t, 23> words{};
  aeth::Random stream(1, aeth::RandomUse::test);
  for (auto& word : words) word = stream.bits();
  for (std::size_t i = words.size(); i-- > 0;) {
    stream.seek(i);
    CHECK(stream.bits() == words[i]);
  }
}

TEST_CASE("streams of another seed, use or item have other numbers", "[core]") {
  using aeth::RandomUse;
  std::array<aeth::Random, 6> streams{aeth::Random(1, RandomUse::test, 0),
                                      aeth::Random(2, RandomUse::test, 0),
                                      aeth::Random(std::uint64_t{1} << 32, RandomUse::test, 0),
                                      aeth::Random(1, RandomUse::init, 0),
                                      aeth::Random(1, RandomUse::test, 1),
                                      aeth::Random(1, RandomUse::test, std::uint64_t{1} << 51)};
  std::array<std::uint64_t, 6> first{};
  for (std::size_t i = 0; i < 6; ++i) first[i] = streams[i].bits64();
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(first[i] != first[j]);
}

TEST_CASE("below is uniform for any bound", "[core]") {
  for (std::uint64_t const n : {1u, 2u, 3u, 7u, 10u, 16u}) {
    aeth::Random random(3, aeth::RandomUse::test, n);
    std::array<double, 16> count{};
    double const draws = 40000, expected = draws / static_cast<double>(n);
    for (int i = 0; i < 40000; ++i) {
      auto const value = random.below(n);
      REQUIRE(value < n);
      count[value] += 1;
    }
    double chi_squared = 0;
    for (std::uint64_t i = 0; i < n; ++i)
      chi_squared += (count[i] - expected) * (count[i] - expected) / expected;
    // Mean n - 1, standard deviation sqrt(2(n - 1)): five of them.
    double const freedom = static_cast<double>(n) - 1;
    CHECK(chi_squared <= freedom + 5 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("below has no bias where a remainder would have the most", "[core]") {
  // With n = 3/4 · 2^64, taking the remainder of 64 bits would give the lower third twice as often as the
  // others: 1/2 instead of 1/3.
  std::uint64_t const n = (std::uint64_t{3} << 62), third = n / 3;
  aeth::Random random(4, aeth::RandomUse::test);
  double low = 0;
  int const draws = 20000;
  for (int i = 0; i < draws; ++i) low += random.below(n) < third ? 1 : 0;
  double const deviation = std::sqrt(draws * (1.0 / 3) * (2.0 / 3));
  CHECK(std::fabs(low - draws / 3.0) < 5 * deviation);
}

TEST_CASE("uniform and normal have the moments of their laws", "[core]") {
  aeth::Random random(5, aeth::RandomUse::test);
  int const draws = 40000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0, fourth = 0;
  for (int i = 0; i < draws; ++i) {
    double const u = random.uniform();
    REQUIRE(u >= 0.0);
    REQUIRE(u < 1.0);
    sum += u;
    squares += u * u;
    double const z = random.normal();
    normal_sum += z;
    normal_squares += z * z;
    fourth += z * z * z * z;
  }
  double const root = std::sqrt(static_cast<double>(draws));
  CHECK(std::fabs(sum / draws - 0.5) < 5 * std::sqrt(1.0 / 12) / root);
  CHECK(std::fabs(squares / draws - 1.0 / 3) < 5 * std::sqrt(4.0 / 45) / root);
  CHECK(std::fabs(normal_sum / draws) < 5 / root);
  CHECK(std::fabs(normal_squares / draws - 1) < 5 * std::sqrt(2.0) / root);
  CHECK(std::fabs(fourth / draws - 3) < 5 * std::sqrt(96.0) / root);
}
