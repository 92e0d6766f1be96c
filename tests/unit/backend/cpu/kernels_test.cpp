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

#include "aeth/core/random.hpp"
#include "support/catch.hpp"
#include "support/simd_levels.hpp"
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
  for (SimdLevel const level : test::simd_levels()) {
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
  for (SimdLevel const level : test::simd_levels()) {
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
    for (SimdLevel const level : test::simd_levels())
      CHECK(AETH_CPU_KERNEL(level, float, dot, x.values.data(), y.values.data(), size) == lanes[0]);
  }
}

TEST_CASE("products of BF16 pairs have the same bits on every level, subnormal numbers among them",
          "[backend]") {
  // Exponents such that products and sums lie around the smallest normal number, and others from the whole range.
  constexpr Index rows = 60, columns = 64, depth = 34;
  Random random(22, RandomUse::test);
  auto const number = [&](std::uint64_t least, std::uint64_t spread) {
    bf16 x;
    x.bits = static_cast<std::uint16_t>(random.below(2) << 15 | (least + random.below(spread)) << 7 |
                                        random.below(128));
    return x;
  };
  for (bool const small : {true, false}) {
    std::vector<bf16> a(to_size(rows * depth)), b(to_size(columns * depth));
    for (bf16& x : a) x = small ? number(60, 8) : number(0, 250);
    for (bf16& x : b) x = small ? number(58, 10) : number(0, 8);
    std::vector<std::vector<float>> c;
    for (SimdLevel const level : test::simd_levels()) {
      std::vector<float> sums(to_size(rows * columns), 0x1p-130f), scratch(to_size(cpu::matmul_scratch));
      cpu::matmul(level, rows, columns, depth, cpu::LeftMatrix<bf16>{a.data(), depth},
                  cpu::RightMatrix<bf16>{b.data(), columns, 0}, sums.data(), columns, true, scratch.data());
      c.push_back(sums);
    }
    int least = 0;
    for (float const x : c.front()) {
      REQUIRE(std::isfinite(x));
      REQUIRE((x == 0.0f || std::fabs(x) >= std::numeric_limits<float>::min()));
      least += std::fabs(x) < 0x1p-124f ? 1 : 0;
    }
    if (small) CHECK(least > 0);
    for (auto const& sums : c) CHECK(test::same_bits(sums, c.front()));
  }
}

TEST_CASE("memory that is read soon is asked for evenly and never beyond its end", "[backend]") {
  std::vector<float> const memory(1000);
  cpu::Ahead evenly = cpu::Ahead::of(memory.data(), 1000, 100);
  CHECK(evenly.pace == 40);
  CHECK(evenly.take(60) == 40);
  CHECK(evenly.take(60) == 26);  // 1,600 bytes are left
  CHECK(evenly.take(60) == 0);
  CHECK(evenly.begin <= evenly.end);
  CHECK(cpu::Ahead::of(memory.data(), 1000).pace == 64);
  cpu::Ahead nothing;
  CHECK(nothing.take(7) == 0);
  CHECK(nothing.begin == nullptr);
}

TEST_CASE("what a product prefetches changes none of its bits", "[backend]") {
  // Three parts of k; with more rows than matmul_ahead_rows the panel's own next part comes first.
  constexpr Index columns = cpu::matmul_panel, depth = 2 * cpu::matmul_k_block + 40;
  auto const b = test::random_tensor<float>(depth, columns, 6);
  std::vector<float> const later(to_size(4 * depth * columns));
  for (Index const rows : {Index{5}, Index{50}}) {
    auto const a = test::random_tensor<float>(rows, depth, 5);
    std::vector<std::vector<float>> c;
    for (SimdLevel const level : test::simd_levels())
      for (bool const prefetches : {false, true}) {
        std::vector<float> sums(to_size(rows * columns)), scratch(to_size(cpu::matmul_scratch));
        cpu::Ahead ahead;
        if (prefetches) ahead = cpu::Ahead::of(later.data(), static_cast<Index>(later.size()));
        cpu::Ahead const before = ahead;
        cpu::matmul(level, rows, columns, depth, cpu::LeftMatrix<float>{a.values.data(), depth},
                    cpu::RightMatrix<float>{b.values.data(), columns, 0}, sums.data(), columns, false,
                    scratch.data(), ahead);
        CHECK((ahead.begin > before.begin) == prefetches);
        CHECK(ahead.begin <= ahead.end);
        c.push_back(sums);
      }
    for (auto const& sums : c) CHECK(test::same_bits(sums, c.front()));
  }
}

TEST_CASE("a sum that only rounds up to the smallest normal number is flushed", "[backend]") {
  float const least = 0x1p-126f;
  // c = 2^-126 (1 + 2^-23), a · b = −2^-126 (2^-23 + part)
  auto const sum = [&](float a, float b, float c) { return cpu::scalar::flushing_fma(a, b, c); };
  CHECK(sum(0x1p-63f, 0x1p-63f, 0.0f) == least);
  CHECK(sum(0x1p-63f, 0x1p-64f, 0.0f) == 0.0f);
  CHECK(sum(-0x1p-100f, 0x1p-51f, least) == least);    // a tie, which 24 bits round up
  CHECK(sum(-0x1p-100f, 0x1.02p-51f, least) == 0.0f);  // below it
  CHECK(sum(-0x1p-100f, 0x1p-52f, least) == least);    // above it
  CHECK(std::signbit(sum(0x1p-100f, 0x1.02p-51f, -least)));
  CHECK(sum(0x1p-127f, 0x1p120f, 1.0f) == 1.0f);
}

#if AETH_X86_64
TEST_CASE("BF16 products neither depend on the floating-point environment nor change it", "[backend]") {
  auto const a = test::random_tensor<float>(8, 32, 3), b = test::random_tensor<float>(32, 16, 4);
  std::vector<bf16> left, right;
  for (float const x : a.values) left.push_back(bf16(x));
  for (float const x : b.values) right.push_back(bf16(x));
  auto const product = [&](SimdLevel level) {
    std::vector<float> c(8 * 16), scratch(to_size(cpu::matmul_scratch));
    cpu::matmul(level, 8, 16, 32, cpu::LeftMatrix<bf16>{left.data(), 32},
                cpu::RightMatrix<bf16>{right.data(), 16, 0}, c.data(), 16, false, scratch.data());
    return c;
  };
  unsigned const before = _mm_getcsr();
  auto const wanted = product(best_simd_level());
  for (SimdLevel const level : test::simd_levels()) {
    unsigned const upward = before | 0x4000u;
    _mm_setcsr(upward);
    auto const c = product(level);
    unsigned const after = _mm_getcsr();
    _mm_setcsr(before);
    CHECK((after & 0xFFC0u) == (upward & 0xFFC0u));
    CHECK(test::same_bits(c, wanted));
  }
}

TEST_CASE(
    "dot products of BF16 and pairs of multiply-adds give the same bits, whichever this machine prefers",
    "[backend]") {
  if (best_simd_level() < SimdLevel::avx512_bf16) return;
  for (Index const rows : {1, 5, 6, 13, 48, 250})
    for (Index const depth : {1, 2, 37, 256, 257, 700})
      for (bool const by_columns : {false, true}) {
        Index const columns = 50;
        auto const a = test::random_tensor<float>(by_columns ? depth : rows, by_columns ? rows : depth, 5),
                   b = test::random_tensor<float>(depth, columns, 6),
                   c = test::random_tensor<float>(rows, columns, 7);
        std::vector<bf16> left, right;
        for (float const x : a.values) left.push_back(bf16(x));
        for (float const x : b.values) right.push_back(bf16(x));
        cpu::LeftMatrix<bf16> const l{left.data(), by_columns ? rows : depth, by_columns};
        cpu::RightMatrix<bf16> const r{right.data(), columns};
        std::vector<float> scratch(to_size(cpu::matmul_scratch)), dots(c.values.begin(), c.values.end()),
            plain = dots;
        cpu::Ahead nothing;
        cpu::avx512_bf16::matmul<cpu::avx512::F32>(rows, columns, depth, l, r, dots.data(), columns, true,
                                                   scratch.data(), nothing);
        {
          cpu::FlushSubnormals const scope;
          cpu::avx512::matmul<cpu::avx512::F32>(rows, columns, depth, l, r, plain.data(), columns, true,
                                                scratch.data(), nothing);
        }
        INFO(rows << " x " << depth << (by_columns ? " by columns" : " by rows"));
        REQUIRE(test::same_bits(dots, plain));
      }
}
#endif
