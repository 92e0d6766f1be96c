// Products of FP8 operands against their definition, written out element by element, and their bits over SIMD levels,
// threads, batches and groups.
#include "aeth/backend/cpu/matmul_f8.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "support/catch.hpp"
#include "support/simd_levels.hpp"
#include "support/tensor.hpp"

namespace {

using namespace aeth;
using test::Tensor;

float value_of(float x) {
  return x;
}
float value_of(bf16 x) {
  return static_cast<float>(x);
}

/// Codes of a matrix and a scale for each; `rows` × `cols` elements share one.
struct Quantized {
  Tensor<float> codes, scales;
};
template <class X>
Quantized quantized(Tensor<X> const& x, Index rows, Index cols, float least,
                    ScaleForm form = ScaleForm::any) {
  Quantized q{{x.rows, x.cols}, {x.rows, x.cols}};
  auto const view = x.cview();
  for (Index i0 = 0; i0 < x.rows; i0 += rows)
    for (Index j0 = 0; j0 < x.cols; j0 += cols) {
      Index const end_i = min(i0 + rows, x.rows), end_j = min(j0 + cols, x.cols);
      float largest = least;
      for (Index i = i0; i < end_i; ++i)
        for (Index j = j0; j < end_j; ++j) largest = std::fmax(largest, std::fabs(value_of(view(i, j))));
      float scale = largest > 0 ? largest / 448.0f : 1.0f;
      if (form == ScaleForm::power_of_two) scale = std::exp2(std::ceil(std::log2(scale)));
      for (Index i = i0; i < end_i; ++i)
        for (Index j = j0; j < end_j; ++j) {
          q.codes(i, j) = static_cast<float>(e4m3(value_of(view(i, j)) / scale));
          q.scales(i, j) = scale;
        }
    }
  return q;
}
template <class X>
Quantized activation(Tensor<X> const& x) {
  return quantized(x, 1, 128, 1e-4f);
}
template <class X>
Quantized by_tokens(Tensor<X> const& x) {
  return quantized(x, 128, 1, 1e-4f);
}
Quantized weight(Tensor<float> const& w) {
  return quantized(w, 128, 128, 0.0f);
}

float fma(float a, float b, float c) {
  return cpu::scalar::flushing_fma(a, b, c);
}

/// A block's sum times the product of its scales, added to c: subnormal numbers count as zero here too.
float promoted(float part, float a, float b, float c) {
  return fma(part, fma(a, b, 0.0f), c);
}

/// c (+)= x · wᵀ from quantised operands: per block of 128 a chain over pairs, the odd one first, then promotion.
Tensor<float> product(Quantized x, Quantized w, Tensor<float> c) {
  for (Index i = 0; i < c.rows; ++i)
    for (Index o = 0; o < c.cols; ++o)
      for (Index b = 0; b < x.codes.cols; b += 128) {
        Index const end = min(b + 128, x.codes.cols);
        float part = 0;
        for (Index k = b; k < end; k += 2) {
          if (k + 1 < end) part = fma(x.codes(i, k + 1), w.codes(o, k + 1), part);
          part = fma(x.codes(i, k), w.codes(o, k), part);
        }
        c(i, o) = promoted(part, x.scales(i, b), w.scales(o, b), c(i, o));
      }
  return c;
}

/// dw += dyᵀ · x over tokens.
Tensor<float> gradient(Quantized dy, Quantized x, Tensor<float> dw) {
  for (Index o = 0; o < dw.rows; ++o)
    for (Index i = 0; i < dw.cols; ++i)
      for (Index b = 0; b < x.codes.rows; b += 128) {
        float part = 0;
        for (Index t = b; t < min(b + 128, x.codes.rows); ++t)
          part = fma(dy.codes(t, o), x.codes(t, i), part);
        dw(o, i) = promoted(part, dy.scales(b, o), x.scales(b, i), dw(o, i));
      }
  return dw;
}

/// What a tensor core makes of a sum and of products a(k) · b(k) · scale for k in [begin, end), in exact arithmetic.
template <class A, class B>
float tensor_core_sum(F8Arithmetic const& how, float sum, Index begin, Index end, A a, B b, float scale) {
  auto const power = [](float x) { return std::exp2(static_cast<double>(std::ilogb(x))); };
  std::vector<float> terms{sum};
  double largest = sum != 0 ? power(sum) : 0;
  for (Index k = begin; k < end; ++k)
    if (a(k) != 0 && b(k) != 0) {
      terms.push_back(fma(a(k) * b(k), scale, 0.0f));
      largest =
          std::fmax(largest, std::fmax(power(a(k)), 0x1p-6) * std::fmax(power(b(k)), 0x1p-6) * power(scale));
    }
  double const unit = std::fmax(largest, 0x1p-110) * std::exp2(1 - how.accumulator_bits);
  double total = 0;
  for (float const term : terms) total += std::trunc(static_cast<double>(term) / unit);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(static_cast<float>(total * unit)) &
                              ~std::uint32_t{0} << (24 - how.accumulator_bits));
}

/// An element's limited sum over k of products of codes a(k) · b(k), scales sa(k) · sb(k).
template <class A, class B, class SA, class SB>
float element(F8Arithmetic const& how, Index depth, float c, A a, B b, SA sa, SB sb) {
  float whole = 0;
  for (Index k0 = 0; k0 < depth; k0 += 128) {
    Index const end = min(k0 + 128, depth);
    float part = 0;
    for (Index k = k0; k < end; k += 32)
      if (how.promote)
        part = tensor_core_sum(how, part, k, min(k + 32, end), a, b, 1.0f);
      else
        whole = tensor_core_sum(how, whole, k, min(k + 32, end), a, b, fma(sa(k0), sb(k0), 0.0f));
    if (how.promote) c = promoted(part, sa(k0), sb(k0), c);
  }
  return how.promote ? c : c + whole;
}

/// The same of all elements, limited or not.
Tensor<float> product(F8Arithmetic const& how, Quantized x, Quantized w, Tensor<float> c) {
  if (!how.limited()) return product(x, w, c);
  for (Index i = 0; i < c.rows; ++i)
    for (Index o = 0; o < c.cols; ++o)
      c(i, o) = element(
          how, x.codes.cols, c(i, o), [&](Index k) { return x.codes(i, k); },
          [&](Index k) { return w.codes(o, k); }, [&](Index k) { return x.scales(i, k); },
          [&](Index k) { return w.scales(o, k); });
  return c;
}
Tensor<float> transposed(Tensor<float> x) {
  Tensor<float> y(x.cols, x.rows);
  for (Index i = 0; i < x.rows; ++i)
    for (Index j = 0; j < x.cols; ++j) y(j, i) = x(i, j);
  return y;
}

Tensor<float> gradient(F8Arithmetic const& how, Quantized const& dy, Quantized const& x, Tensor<float> dw) {
  if (!how.limited()) return gradient(dy, x, dw);
  return product(how, {transposed(dy.codes), transposed(dy.scales)},
                 {transposed(x.codes), transposed(x.scales)}, dw);
}

constexpr F8Arithmetic sums_of_each_kind[] = {
    {}, {.accumulator_bits = 14}, {.accumulator_bits = 14, .promote = false}};

/// Rows of very different magnitude, zeros, and numbers that E4M3 rounds to its subnormal ones.
template <class X>
Tensor<X> operand(Index rows, Index cols, std::uint64_t stream) {
  auto wide = test::random_tensor<float>(rows, cols, stream);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) {
      if (i % 3 == 1) wide(i, j) *= 1e-3f;
      if (j % 7 == 3) wide(i, j) *= 1e-4f;
      if (i % 5 == 4 && j < 128) wide(i, j) = 0;
    }
  Tensor<X> x(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) x(i, j) = X(wide(i, j));
  return x;
}

struct Packed {
  std::vector<float> memory;  // aligned as scales must be
  Packed(Cpu& cpu, Tensor<float> const& w, bool turned)
      : memory(to_size(Cpu::packed_size<e4m3>(turned ? w.cols : w.rows, turned ? w.rows : w.cols) / 4)) {
    if (turned)
      cpu.pack_transposed(w.cview(), data());
    else
      cpu.pack_weights(w.cview(), data());
  }
  e4m3* data() { return reinterpret_cast<e4m3*>(memory.data()); }
};

template <class Y>
std::vector<Y> rounded(Tensor<float> const& x) {
  std::vector<Y> y;
  for (float const v : x.values) y.push_back(Y(v));
  return y;
}

template <class X, class Y>
void check_product(Cpu& cpu, Index rows, Index in, Index out) {
  INFO("level " << static_cast<int>(cpu.level()) << ", " << rows << "x" << in << "x" << out);
  auto const x = operand<X>(rows, in, 1);
  auto const w = operand<float>(out, in, 2);
  Packed packed(cpu, w, false);
  Tensor<Y> y(rows, out, Y(0.5f)), sum = y;
  cpu.linear(x.cview(), static_cast<e4m3 const*>(packed.data()), y.view());
  CHECK(test::same_bits(y.values, rounded<Y>(product(activation(x), weight(w), {rows, out}))));
  cpu.linear(x.cview(), static_cast<e4m3 const*>(packed.data()), sum.view(), Write::accumulate);
  CHECK(test::same_bits(sum.values, rounded<Y>(product(activation(x), weight(w), {rows, out, 0.5f}))));

  // The gradient of x reads the same codes, the other way round.
  auto const dy = operand<X>(rows, out, 3);
  Packed turned(cpu, w, true);
  Tensor<Y> dx(rows, in);
  cpu.linear(dy.cview(), static_cast<e4m3 const*>(turned.data()), dx.view());
  CHECK(test::same_bits(dx.values, rounded<Y>(product(activation(dy), weight(transposed(w)), {rows, in}))));
}

}  // namespace

TEST_CASE("FP8 products are what their definition says, on every SIMD level", "[backend][fp8]") {
  for (SimdLevel const level : test::simd_levels()) {
    Cpu cpu(2, level);
    check_product<float, float>(cpu, 1, 128, 64);
    check_product<bf16, bf16>(cpu, 5, 256, 128);
    check_product<bf16, float>(cpu, 250, 77, 40);
    check_product<float, bf16>(cpu, 13, 301, 199);
    check_product<bf16, float>(cpu, 3, 1, 1);
    // More of k than a tile adds up before the next one does.
    check_product<bf16, float>(cpu, 7, 2 * cpu::f8_depth + 77, 83);
    check_product<float, bf16>(cpu, 30, cpu::f8_depth + 131, 83);
  }
}

TEST_CASE(
    "scales so small that subnormal numbers come up count as zero on every SIMD level, for few rows and many",
    "[backend][fp8]") {
  for (float const size : {1e-33f, 1e-34f, 1e-37f, 1e-39f})
    for (Index const rows : {Index{1}, Index{4}, Index{9}}) {
      auto const x = operand<float>(rows, 256, 6);
      auto w = operand<float>(70, 256, 7);
      for (float& v : w.values) v *= size;
      auto const qx = activation(x), qw = weight(w);
      for (SimdLevel const level : test::simd_levels()) {
        INFO("level " << static_cast<int>(level) << ", " << rows << " rows, weights of " << size);
        Cpu cpu(2, level);
        Packed packed(cpu, w, false);
        for (F8Arithmetic const& how : sums_of_each_kind) {
          cpu.set_f8_arithmetic(how);
          Tensor<float> y(rows, 70);
          cpu.linear(x.cview(), static_cast<e4m3 const*>(packed.data()), y.view());
          CHECK(test::same_bits(y.values, product(how, qx, qw, {rows, 70}).values));
          for (float const v : y.values) CHECK((v == 0 || std::fabs(v) >= 0x1p-126f));
        }
      }
    }
}

TEST_CASE("the product of two scales is subnormal or not by its 24 bits", "[backend][fp8]") {
  // (1 - 2^-24) 2^-126 is subnormal, though the nearest number with the spacing of subnormal ones is 2^-126.
  cpu::scalar::F32 const part = cpu::scalar::F32::set(0x1p20f), a = cpu::scalar::F32::set(0x1.fffffep-64f),
                         b = cpu::scalar::F32::set(0x1p-63f), zero = cpu::scalar::F32::set(0.0f);
  CHECK(cpu::scalar::promoted(part, a, b, zero).v[0] == 0.0f);
  CHECK(cpu::scalar::promoted(part, b, b, zero).v[0] == 0x1p-106f);
}

TEST_CASE("FP8 gradients of weights are what their definition says, on every SIMD level", "[backend][fp8]") {
  for (SimdLevel const level : test::simd_levels()) {
    Cpu cpu(2, level);
    for (Index const tokens : {Index{1}, Index{128}, Index{300}, cpu::f8_depth + 130}) {
      INFO("level " << static_cast<int>(level) << ", " << tokens << " tokens");
      // Several tiles of rows and of columns.
      Index const out = cpu::f8_gradient_rows + 9, in = cpu::f8_gradient_columns + 14;
      auto const dy = operand<float>(tokens, out, 4);
      auto const x = operand<bf16>(tokens, in, 5);
      Tensor<float> dw(out, in, 0.25f);
      cpu.linear_weight_grad<e4m3>(dy.cview(), x.cview(), dw.view());
      CHECK(test::same_bits(dw.values, gradient(by_tokens(dy), by_tokens(x), {out, in, 0.25f}).values));
    }
  }
}

TEST_CASE("every FP8 arithmetic is what its definition says, on every SIMD level", "[backend][fp8]") {
  F8Arithmetic const all[] = {{.scales = ScaleForm::power_of_two},
                              {.square_tiles = true},
                              {.scales = ScaleForm::power_of_two, .square_tiles = true},
                              {.accumulator_bits = 14},
                              {.square_tiles = true, .accumulator_bits = 16},
                              {.accumulator_bits = 2},
                              {.scales = ScaleForm::power_of_two, .accumulator_bits = 10, .promote = false},
                              {.accumulator_bits = 14, .promote = false}};
  for (SimdLevel const level : test::simd_levels())
    for (F8Arithmetic const& how : all) {
      INFO("level " << static_cast<int>(level) << ", square " << how.square_tiles << ", bits "
                    << how.accumulator_bits << ", promote " << how.promote << ", powers of two "
                    << (how.scales == ScaleForm::power_of_two));
      Cpu cpu(2, level);
      cpu.set_f8_arithmetic(how);
      for (Index const rows : {Index{3}, Index{150}}) {
        // In one of them more rows of a gradient than one of its tiles has; in the other more of k than is added up at once.
        Index const in = rows == 3 ? 301 : cpu::f8_depth + 45,
                    out = rows == 3 ? cpu::f8_gradient_rows + 6 : 70, tile = how.square_tiles ? 128 : 1;
        auto const x = operand<bf16>(rows, in, 11), dy = operand<bf16>(rows, out, 12);
        auto const w = operand<float>(out, in, 13);
        Packed packed(cpu, w, false);
        auto const* const codes = static_cast<e4m3 const*>(packed.data());
        Tensor<float> y(rows, out, 0.5f), sum = y;
        Tensor<bf16> narrow(rows, out, bf16(0.5f)), narrow_sum = narrow;
        cpu.linear(x.cview(), codes, y.view());
        cpu.linear(x.cview(), codes, sum.view(), Write::accumulate);
        cpu.linear(x.cview(), codes, narrow.view());
        cpu.linear(x.cview(), codes, narrow_sum.view(), Write::accumulate);
        auto const qx = quantized(x, tile, 128, 1e-4f, how.scales),
                   qw = quantized(w, 128, 128, 0.0f, how.scales);
        auto const expected = product(how, qx, qw, {rows, out}),
                   expected_sum = product(how, qx, qw, {rows, out, 0.5f});
        CHECK(test::same_bits(y.values, expected.values));
        CHECK(test::same_bits(sum.values, expected_sum.values));
        CHECK(test::same_bits(narrow.values, rounded<bf16>(expected)));
        CHECK(test::same_bits(narrow_sum.values, rounded<bf16>(expected_sum)));

        Tensor<float> dw(out, in, 0.25f);
        cpu.linear_weight_grad<e4m3>(dy.cview(), x.cview(), dw.view());
        auto const cdy = quantized(dy, 128, tile, 1e-4f, how.scales),
                   cx = quantized(x, 128, tile, 1e-4f, how.scales);
        CHECK(test::same_bits(dw.values, gradient(how, cdy, cx, {out, in, 0.25f}).values));
      }
    }
  Cpu cpu(1);
  CHECK_THROWS_AS(cpu.set_f8_arithmetic({.accumulator_bits = 25}), UsageError);
  CHECK_THROWS_AS(cpu.set_f8_arithmetic({.accumulator_bits = 17}), UsageError);
  CHECK_THROWS_AS(cpu.set_f8_arithmetic({.accumulator_bits = 1}), UsageError);
}

TEST_CASE("the widest limited sums of the largest products with scales are exact", "[backend][fp8]") {
  // Factors of 1.875 · 2^7 but for one in each tile of 1.75 · 2^8; their scales multiply to just below 2.
  F8Arithmetic const how{.accumulator_bits = 16, .promote = false};
  Tensor<float> x(3, 128, 1.41421f * 240), w(70, 128, 1.41421f * 240);
  for (Index i = 0; i < 3; ++i) x(i, 100) = 1.41421f * 448;
  for (Index i = 0; i < 70; ++i) w(i, 101) = 1.41421f * 448;
  auto qx = activation(x), qw = weight(w);
  REQUIRE(qx.codes(0, 0) == 240);
  REQUIRE(qx.scales(0, 0) * qw.scales(0, 0) > 1.999f);
  for (SimdLevel const level : test::simd_levels()) {
    Cpu cpu(1, level);
    cpu.set_f8_arithmetic(how);
    Packed packed(cpu, w, false);
    Tensor<float> y(3, 70);
    cpu.linear(x.cview(), static_cast<e4m3 const*>(packed.data()), y.view());
    CHECK(test::same_bits(y.values, product(how, qx, qw, {3, 70}).values));
  }
}

TEST_CASE("sums of 14 bits err by the nearly 2 % that DeepSeek-V3 reports at 4096 steps, promotion mends it",
          "[backend][fp8]") {
  Index const rows = 16, in = 4096, out = 64;
  auto const x = test::random_tensor<float>(rows, in, 14);
  auto const w = test::random_tensor<float>(out, in, 15);
  auto const result = [&](F8Arithmetic const& how) {
    Cpu cpu(2);
    cpu.set_f8_arithmetic(how);
    Packed packed(cpu, w, false);
    Tensor<float> y(rows, out);
    cpu.linear(x.cview(), static_cast<e4m3 const*>(packed.data()), y.view());
    return y;
  };
  auto const exact = result({}), limited = result({.accumulator_bits = 14, .promote = false}),
             promoted = result({.accumulator_bits = 14});
  auto const worst = [&](Tensor<float> const& y) {
    double square = 0, largest = 0;
    for (std::size_t i = 0; i < y.values.size(); ++i) {
      square += static_cast<double>(exact.values[i]) * static_cast<double>(exact.values[i]);
      largest = std::fmax(largest,
                          std::fabs(static_cast<double>(y.values[i]) - static_cast<double>(exact.values[i])));
    }
    return largest / std::sqrt(square / static_cast<double>(y.values.size()));
  };
  INFO("largest errors beside the results' root mean square: " << worst(limited) << ", promoted "
                                                               << worst(promoted));
  CHECK(worst(limited) > 0.01);
  CHECK(worst(limited) < 0.02);
  CHECK(worst(promoted) < 0.001);
}

TEST_CASE("rows that are kept in FP8 come back rounded, on every SIMD level", "[backend][fp8]") {
  for (SimdLevel const level : test::simd_levels())
    for (Index const cols : {Index{1}, Index{64}, Index{127}, Index{300}}) {
      INFO("level " << static_cast<int>(level) << ", " << cols << " columns");
      auto x = operand<bf16>(7, cols, 16);
      auto const q = activation(x);
      Cpu cpu(2, level);
      Arena arena;
      auto const kept = F8Rows::in(arena, 7, cols);
      cpu.keep_f8(x.cview(), kept);
      Tensor<bf16> y(7, cols);
      cpu.restore_f8(kept, y.view());
      for (std::size_t i = 0; i < y.values.size(); ++i)
        REQUIRE(value_of(y.values[i]) == value_of(bf16(q.codes.values[i] * q.scales.values[i])));
      x(3, cols - 1) = bf16(std::numeric_limits<float>::infinity());
      cpu.keep_f8(x.cview(), kept);
      cpu.restore_f8(kept, y.view());
      for (Index t = 0; t < 7; ++t)
        for (Index j = 0; j < cols; ++j)
          REQUIRE(std::isnan(static_cast<float>(y(t, j))) == (t == 3 && j / 128 == (cols - 1) / 128));
    }
}

TEST_CASE("what rounding to FP8 does is counted on request", "[backend][fp8]") {
  Tensor<float> x(2, 256, 1.0f), w(128, 256, 0.5f);
  x(0, 0) = 448.0f;  // its tile's other values, 1, keep a code
  x(0, 130) = 0.0f;
  x(0, 5) = 1e-4f;
  x(0, 6) = 0x1p-8f;  // a subnormal code
  x(1, 201) = std::numeric_limits<float>::infinity();
  F8Observation seen;
  Cpu cpu(2);
  cpu.observe_f8(&seen);
  Packed packed(cpu, w, false);
  Packed turned(cpu, w, true);
  Tensor<float> y(2, 128);
  cpu.linear(x.cview(), static_cast<e4m3 const*>(packed.data()), y.view());
  F8Statistics const weight = seen.of(packed.data(), F8Operand::weight);
  CHECK(weight.values == 128 * 256);
  CHECK(weight.least_scale == 0.5f / 448.0f);
  F8Statistics const rows = seen.of(packed.data(), F8Operand::rows);
  CHECK(rows.values == 512);
  CHECK(rows.vanished == 1);
  CHECK(rows.subnormal == 1);
  CHECK(rows.saturated == 0);
  CHECK(rows.lost == 128);
  CHECK(rows.largest_scale == 1.0f);
  CHECK(rows.least_scale == 1.0f / 448.0f);
  CHECK(seen.of(turned.data(), F8Operand::rows) == F8Statistics{});
  Tensor<float> dx(2, 256);
  cpu.linear(y.cview(), static_cast<e4m3 const*>(turned.data()), dx.view());
  CHECK(seen.of(turned.data(), F8Operand::rows).values == 256);
  CHECK(seen.total(F8Operand::rows).values == 512 + 256);
  CHECK(seen.total(F8Operand::rows).largest_scale == 1.0f);
  Tensor<float> dw(128, 256);
  cpu.linear_weight_grad<e4m3>(y.cview(), x.cview(), dw.view());
  CHECK(seen.of(dw.values.data(), F8Operand::gradient_columns).values == 2 * 128);
  CHECK(seen.of(dw.values.data(), F8Operand::input_columns).values == 2 * 256);
  F8Observation const before = seen;
  cpu.observe_f8(nullptr);
  cpu.linear(x.cview(), static_cast<e4m3 const*>(packed.data()), y.view());
  CHECK(seen == before);
}

TEST_CASE("products per head take the codes of a whole FP8 weight and what they multiply in BF16",
          "[backend][fp8]") {
  // Of each head 128 rows that are multiplied from the left and 128 from the right, as in absorbed attention.
  Index const heads = 2, part = 128, rank = 200, rows = 5;
  auto w = operand<float>(heads * 2 * part, rank, 3);
  auto queries = operand<bf16>(rows, heads * part, 4), sums = operand<bf16>(rows, heads * rank, 5);
  std::vector<std::vector<float>> first;
  for (SimdLevel const level : test::simd_levels())
    for (int const threads : {1, 3}) {
      Cpu cpu(threads, level);
      Index const key_size = Cpu::packed_size<e4m3>(rank, part),
                  value_size = Cpu::packed_size<e4m3>(part, rank);
      std::vector<float> memory(to_size(heads * (key_size + value_size)) / 4);
      auto* const keys = reinterpret_cast<e4m3*>(memory.data());
      e4m3* const values = keys + heads * key_size;
      for (Index h = 0; h < heads; ++h) {
        cpu.pack_transposed(w.cview().row_slice(2 * h * part, part), keys + h * key_size);
        cpu.pack_weights(w.cview().row_slice((2 * h + 1) * part, part), values + h * value_size);
      }
      Tensor<float> latent(rows, heads * rank), out(rows, heads * part);
      cpu.linear_per_head(heads, queries.cview(), part, part, static_cast<e4m3 const*>(keys), key_size, rank,
                          latent.view(), rank);
      cpu.linear_per_head(heads, sums.cview(), rank, rank, static_cast<e4m3 const*>(values), value_size, part,
                          out.view(), part);
      std::vector<std::vector<float>> const both{latent.values, out.values};
      if (first.empty()) first = both;
      CHECK(both == first);
      // The left operand is no codes, so these are no sums of an FP8 instruction.
      cpu.set_f8_arithmetic({.accumulator_bits = 14});
      cpu.linear_per_head(heads, queries.cview(), part, part, static_cast<e4m3 const*>(keys), key_size, rank,
                          latent.view(), rank);
      CHECK(latent.values == first[0]);
    }
  // What the codes of the whole matrix stand for.
  auto const weight = [&](Index i, Index j) {
    Index const top = i / 128 * 128, left = j / 128 * 128;
    float largest = 0;
    for (Index r = top; r < top + 128; ++r)
      for (Index c = left; c < min(left + 128, rank); ++c) largest = max(largest, std::fabs(w(r, c)));
    float const scale = largest / 448.0f;
    return static_cast<double>(static_cast<float>(e4m3(w(i, j) / scale))) * static_cast<double>(scale);
  };
  for (Index h = 0; h < heads; ++h)
    for (Index t = 0; t < rows; ++t) {
      for (Index j = 0; j < rank; ++j) {
        double sum = 0, sizes = 0;
        for (Index i = 0; i < part; ++i) {
          double const term =
              static_cast<double>(static_cast<float>(queries(t, h * part + i))) * weight(2 * h * part + i, j);
          sum += term;
          sizes += std::fabs(term);
        }
        REQUIRE(std::fabs(static_cast<double>(first[0][to_size(t * heads * rank + h * rank + j)]) - sum) <=
                128 * 0x1p-24 * sizes);
      }
      for (Index i = 0; i < part; ++i) {
        double sum = 0, sizes = 0;
        for (Index j = 0; j < rank; ++j) {
          double const term = static_cast<double>(static_cast<float>(sums(t, h * rank + j))) *
                              weight((2 * h + 1) * part + i, j);
          sum += term;
          sizes += std::fabs(term);
        }
        REQUIRE(std::fabs(static_cast<double>(first[1][to_size(t * heads * part + h * part + i)]) - sum) <=
                200 * 0x1p-24 * sizes);
      }
    }
}

TEST_CASE("FP8 products have the same bits over threads, batches and groups", "[backend][fp8]") {
  Index const rows = 300, in = 200, out = 160;
  auto const x = operand<bf16>(rows, in, 6);
  auto const w = operand<float>(3 * out, in, 7);
  Index const first[] = {0, 37, 37, rows};
  Index const stride = Cpu::packed_size<e4m3>(out, in);
  for (F8Arithmetic const& how : sums_of_each_kind) {
    Tensor<bf16> grouped;
    for (int const threads : {1, 2, 3}) {
      Cpu cpu(threads);
      cpu.set_f8_arithmetic(how);
      std::vector<float> memory(to_size(3 * stride / 4));
      auto* const packed = reinterpret_cast<e4m3*>(memory.data());
      for (Index e = 0; e < 3; ++e) cpu.pack_weights(w.cview().row_slice(e * out, out), packed + e * stride);
      Tensor<bf16> y(rows, out);
      cpu.grouped_linear(x.cview(), static_cast<e4m3 const*>(packed), stride, first, Index{3}, y.view());
      if (threads == 1) grouped = y;
      CHECK(test::same_bits(y.values, grouped.values));
      for (Index const row : {Index{0}, Index{36}, Index{37}, Index{299}}) {
        Tensor<bf16> alone(1, out);
        Index const e = row < 37 ? 0 : 2;
        cpu.linear(x.cview().row_slice(row, 1), static_cast<e4m3 const*>(packed + e * stride), alone.view());
        for (Index j = 0; j < out; ++j) CHECK(alone(0, j) == y(row, j));
      }
      // Each group's tokens are tiled from its own first one.
      auto const dy = operand<bf16>(rows, out, 8);
      Tensor<float> dw(3 * out, in);
      cpu.grouped_linear_weight_grad<e4m3>(dy.cview(), x.cview(), dw.view().row_slice(0, out), out * in,
                                           first, Index{3});
      for (Index const e : {Index{0}, Index{1}, Index{2}}) {
        Tensor<float> own(out, in);
        Index const begin = first[e], count = first[e + 1] - begin;
        cpu.linear_weight_grad<e4m3>(dy.cview().row_slice(begin, count), x.cview().row_slice(begin, count),
                                     own.view());
        for (Index i = 0; i < out; ++i)
          for (Index j = 0; j < in; ++j) REQUIRE(own(i, j) == dw(e * out + i, j));
      }
    }
  }
}

TEST_CASE("numbers that are not finite reach every result that depends on them, and no other",
          "[backend][fp8]") {
  float const infinity = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  for (SimdLevel const level : test::simd_levels())
    for (float const bad : {infinity, -infinity, nan})
      for (F8Arithmetic const& how : sums_of_each_kind) {
        Cpu cpu(1, level);
        cpu.set_f8_arithmetic(how);
        auto x = operand<float>(4, 256, 9);
        auto w = operand<float>(256, 256, 10);
        Packed const good(cpu, w, false);
        x(2, 130) = bad;
        Tensor<float> y(4, 256);
        cpu.linear(x.cview(), reinterpret_cast<e4m3 const*>(good.memory.data()), y.view());
        for (Index i = 0; i < 4; ++i)
          for (Index j = 0; j < 256; ++j) REQUIRE(std::isnan(y(i, j)) == (i == 2));
        x(2, 130) = 1;
        w(129, 5) = bad;
        Packed const poisoned(cpu, w, false);
        cpu.linear(x.cview(), reinterpret_cast<e4m3 const*>(poisoned.memory.data()), y.view());
        for (Index i = 0; i < 4; ++i)
          for (Index j = 0; j < 256; ++j) REQUIRE(std::isnan(y(i, j)) == (j >= 128));
        Tensor<float> dw(256, 256);
        x(1, 7) = bad;
        cpu.linear_weight_grad<e4m3>(x.cview(), x.cview(), dw.view());
        for (Index i = 0; i < 256; ++i)
          for (Index j = 0; j < 256; ++j) REQUIRE(std::isnan(dw(i, j)) == (i == 7 || j == 7));

        // In the part of a tile, and in columns that are no whole strip.
        auto edge = operand<float>(4, 150, 9);
        Packed const narrow(cpu, operand<float>(20, 150, 10), false);
        edge(3, 149) = bad;
        Tensor<float> short_y(4, 20), short_dw(150, 150);
        cpu.linear(edge.cview(), reinterpret_cast<e4m3 const*>(narrow.memory.data()), short_y.view());
        for (Index i = 0; i < 4; ++i)
          for (Index j = 0; j < 20; ++j) REQUIRE(std::isnan(short_y(i, j)) == (i == 3));
        cpu.linear_weight_grad<e4m3>(edge.cview(), edge.cview(), short_dw.view());
        for (Index i = 0; i < 150; ++i)
          for (Index j = 0; j < 150; ++j) REQUIRE(std::isnan(short_dw(i, j)) == (i == 149 || j == 149));
      }
}

TEST_CASE("rounding to E4M3 in vectors is that of the type, and codes come back as BF16", "[backend][fp8]") {
  for (SimdLevel const level : test::simd_levels()) {
    // Every float in steps that hit all halfway values of E4M3, and their neighbours.
    std::vector<float> x;
    for (std::uint32_t bits = 0; bits < 0x44000000u; bits += 1u << 18)
      for (std::uint32_t const near : {bits - 1, bits, bits + 1})
        if (near < 0x44000000u)
          for (std::uint32_t const sign : {0u, 0x80000000u}) x.push_back(std::bit_cast<float>(near | sign));
    // Scales of 1: each tile's largest magnitude is 448, whatever its other numbers are. Whole tiles, a part of one, and
    // columns that are tiles, some in whole strips and some beside them.
    constexpr Index columns = 64 + 16 + 5;
    for (Index const width : {cpu::f8_block, Index{17}, 2 * columns}) {
      bool const by_columns = width == 2 * columns;
      Index const free = by_columns ? columns : width - 1;
      for (std::size_t i = 0; i + to_size(free) <= x.size(); i += to_size(free)) {
        std::vector<float> tile(to_size(width), 448.0f), scales(to_size(columns));
        for (std::size_t j = 0; j < to_size(free); ++j)
          tile[j] = std::fmin(std::fmax(x[i + j], -448.0f), 448.0f);
        std::vector<bf16> out(to_size(width));
        if (by_columns) {
          AETH_CPU_KERNEL(level, float, column_scales, scales.data(), tile.data(), columns, Index{2}, columns,
                          ScaleForm::any);
          AETH_CPU_KERNEL(level, float, round_columns, out.data(), columns, scales.data(), tile.data(),
                          columns, Index{2}, columns);
        } else {
          AETH_CPU_KERNEL(level, float, quantize_row, out.data(), scales.data(), tile.data(), width,
                          ScaleForm::any);
        }
        for (std::size_t j = 0; j < (by_columns ? to_size(columns) : 1); ++j) REQUIRE(scales[j] == 1.0f);
        for (std::size_t j = 0; j < to_size(free); ++j) {
          INFO(tile[j]);
          REQUIRE(static_cast<float>(out[j]) == static_cast<float>(e4m3(tile[j])));
        }
      }
    }
    std::vector<e4m3> codes(64);
    std::vector<bf16> back(64);
    for (int c = 0; c < 256; c += 64) {
      for (int i = 0; i < 64; ++i) codes[to_size(cpu::f8_place(i))].bits = static_cast<std::uint8_t>(c + i);
      cpu::widen_groups(level, back.data(), codes.data(), Index{64});
      for (int i = 0; i < 64; ++i) {
        e4m3 const code = codes[to_size(cpu::f8_place(i))];
        if ((code.bits & 0x7F) != 0x7F)  // NaN has no place among codes of products
          CHECK(back[to_size(i)].bits == bf16(static_cast<float>(code)).bits);
      }
    }
  }
}
