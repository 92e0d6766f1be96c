// Accuracy of the elementary functions that all SIMD levels share, and the same bits on each.
#include "aeth/backend/cpu/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/tensor.hpp"

namespace {

using namespace aeth;

std::vector<float> exponentials(SimdLevel level, std::vector<float> const& x) {
  std::vector<float> y(x.size());
  Index const size = static_cast<Index>(x.size());
  (void)AETH_CPU_KERNEL(level, float, exponential_row, y.data(), x.data(), size, size, 1.0f, 0.0f);
  return y;
}
std::vector<float> sigmoids(SimdLevel level, std::vector<float> const& x) {
  std::vector<float> y(x.size());
  AETH_CPU_KERNEL(level, float, sigmoid_row, y.data(), x.data(), static_cast<Index>(x.size()));
  return y;
}

std::vector<SimdLevel> levels() {
  std::vector<SimdLevel> out;
  for (SimdLevel const level : {SimdLevel::scalar, SimdLevel::avx2, SimdLevel::avx512})
    if (level <= best_simd_level()) out.push_back(level);
  return out;
}

/// About 2.3 million floats of either sign from the whole range of magnitudes, denser than any table.
std::vector<float> arguments() {
  std::vector<float> x;
  for (std::uint32_t bits = 0; bits < 0x7F800000u; bits += 1847) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  return x;
}

}  // namespace

TEST_CASE("exponential: relative error below 2^-22 over its range", "[backend]") {
  auto const x = arguments();
  auto const y = exponentials(SimdLevel::scalar, x);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] < -87.33654f) {
      REQUIRE(y[i] == 0.0f);
    } else if (x[i] <= 88.37626f) {
      double const exact = std::exp(static_cast<double>(x[i]));
      worst = std::max(worst, std::fabs(static_cast<double>(y[i]) / exact - 1.0));
    } else {
      REQUIRE(y[i] == y[0] * exponentials(SimdLevel::scalar, {88.37626f})[0]);
    }
  }
  if (std::getenv("AETH_TEST_VERBOSE"))
    std::fprintf(stderr, "exponential: worst %.3g = 2^%.2f\n", worst, std::log2(worst));
  CHECK(worst < 0x1p-22);
}

TEST_CASE("exponential at its ends", "[backend]") {
  float const infinity = std::numeric_limits<float>::infinity();
  for (SimdLevel const level : levels()) {
    auto const y =
        exponentials(level, {0.0f, -0.0f, -infinity, -87.33654f, std::nextafter(-87.33654f, -100.0f),
                             -1000.0f, std::numeric_limits<float>::quiet_NaN()});
    CHECK(y[0] == 1.0f);
    CHECK(y[1] == 1.0f);
    CHECK(y[2] == 0.0f);
    CHECK(y[3] >= std::numeric_limits<float>::min());
    CHECK(y[4] == 0.0f);
    CHECK(y[5] == 0.0f);
    CHECK(std::isnan(y[6]));
  }
}

TEST_CASE("sigmoid: relative error below 2^-21, no overflow", "[backend]") {
  auto const x = arguments();
  auto const y = sigmoids(SimdLevel::scalar, x);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    REQUIRE(y[i] >= 0.0f);
    REQUIRE(y[i] <= 1.0f);
    if (std::fabs(x[i]) > 87.33f) continue;
    double const exact = 1.0 / (1.0 + std::exp(-static_cast<double>(x[i])));
    worst = std::max(worst, std::fabs(static_cast<double>(y[i]) / exact - 1.0));
  }
  if (std::getenv("AETH_TEST_VERBOSE"))
    std::fprintf(stderr, "sigmoid: worst %.3g = 2^%.2f\n", worst, std::log2(worst));
  CHECK(worst < 0x1p-21);
}

TEST_CASE("elementary functions have the same bits on every level", "[backend]") {
  auto const x = arguments();
  for (SimdLevel const level : levels()) {
    INFO(to_string(level));
    CHECK(test::same_bits(exponentials(level, x), exponentials(SimdLevel::scalar, x)));
    CHECK(test::same_bits(sigmoids(level, x), sigmoids(SimdLevel::scalar, x)));
  }
}

TEST_CASE("the sum of a row is the fixed tree over sixteen lanes", "[backend]") {
  for (Index const size : {1, 15, 16, 17, 40, 100}) {
    auto const x = test::random_tensor<float>(1, size, 1), y = test::random_tensor<float>(1, size, 2);
    float lanes[16] = {};
    for (Index i = 0; i < size; ++i)
      lanes[i % 16] = std::fma(x.values[to_size(i)], y.values[to_size(i)], lanes[i % 16]);
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    for (SimdLevel const level : levels())
      CHECK(AETH_CPU_KERNEL(level, float, dot, x.values.data(), y.values.data(), size) == lanes[0]);
  }
}
