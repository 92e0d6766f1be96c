// Spikes are found whatever the level and the noise, and numbers of a new level are none for long.
#include "aeth/train/spike.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/train/detail/numbers.hpp"
#include "support/catch.hpp"

using namespace aeth;

TEST_CASE("spike: noise is none, a jump is one, at any level") {
  for (double const level : {0.1, 3.0, 1e4})
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      Random random(seed, RandomUse::test);
      train::SpikeDetector detector({.window = 32, .warmup = 16, .deviations = 8, .least = 1e-3 * level});
      for (int i = 0; i < 200; ++i) {
        double const x = level * (1.0 + 0.05 * random.normal());
        CHECK(x < detector.limit());
        detector.add(x);
      }
      CHECK(2.0 * level > detector.limit());
    }
}

TEST_CASE("spike: nothing is one during warm-up, and without noise the least difference counts") {
  train::SpikeDetector detector({.window = 8, .warmup = 4, .deviations = 8, .least = 0.5});
  for (int i = 0; i < 3; ++i) detector.add(1.0);
  CHECK(std::isinf(detector.limit()));
  detector.add(1.0);
  CHECK(detector.limit() == 1.5);
}

TEST_CASE("spike: spikes among the past do not hide the next one, a new level becomes the past") {
  train::SpikeDetector detector({.window = 20, .warmup = 10, .deviations = 8, .least = 0.5});
  for (int i = 0; i < 20; ++i) detector.add(i % 4 == 3 ? 100.0 : 1.0 + 0.01 * (i % 3));
  CHECK(detector.limit() < 2.0);
  for (int i = 0; i < 15; ++i) detector.add(5.0);
  CHECK(detector.limit() > 5.0);
}

TEST_CASE("spike: the state reads back equal") {
  train::SpikeOptions const options{.window = 8, .warmup = 4, .deviations = 8, .least = 0.5};
  train::SpikeDetector detector(options), again(options), smaller({.window = 4, .warmup = 4});
  for (int i = 0; i < 13; ++i) detector.add(0.1 * i);
  train::detail::NumberWriter writer;
  detector.for_each_number(writer);
  train::detail::NumberReader reader(writer.text());
  again.for_each_number(reader);
  CHECK(reader.is_complete());
  CHECK(again.is_sound());
  CHECK(again.limit() == detector.limit());
  train::detail::NumberReader other(writer.text());
  smaller.for_each_number(other);
  CHECK_FALSE(smaller.is_sound());
  // One that was full has its oldest number somewhere in the middle of a larger one.
  train::SpikeDetector larger({.window = 16, .warmup = 4});
  train::detail::NumberReader once_more(writer.text());
  larger.for_each_number(once_more);
  CHECK_FALSE(larger.is_sound());
}
