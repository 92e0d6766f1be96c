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
Quantized quantized(Tensor<X> const& x, Index rows, Index cols, float least) {
  Quantized q{{x.rows, x.cols}, {x.rows, x.cols}};
  auto const view = x.cview();
  for (Index i0 = 0; i0 < x.rows; i0 += rows)
    for (Index j0 = 0; j0 < x.cols; j0 += cols) {
      Index const end_i = min(i0 + rows, x.rows), end_j = min(j0 + cols, x.cols);
      float largest = least;
      for (Index i = i0; i < end_i; ++i)
        for (Index j = j0; j < end_j; ++j) largest = std::fmax(largest, std::fabs(value_of(view(i, j))));
      float const scale = largest > 0 ? largest / 448.0f : 1.0f;
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
        c(i, o) = std::fma(part, x.scales(i, b) * w.scales(o, b), c(i, o));
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
        dw(o, i) = std::fma(part, dy.scales(b, o) * x.scales(b, i), dw(o, i));
      }
  return dw;
}

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

Tensor<float> transposed(Tensor<float> x) {
  Tensor<float> y(x.cols, x.rows);
  for (Index i = 0; i < x.rows; ++i)
    for (Index j = 0; j < x.cols; ++j) y(j, i) = x(i, j);
  return y;
}

std::vector<SimdLevel> levels() {
  std::vector<SimdLevel> out;
  for (SimdLevel const level : all_simd_levels)
    if (level <= best_simd_level()) out.push_back(level);
  return out;
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
  for (SimdLevel const level : levels()) {
    Cpu cpu(2, level);
    check_product<float, float>(cpu, 1, 128, 64);
    check_product<bf16, bf16>(cpu, 5, 256, 128);
    check_product<bf16, float>(cpu, 250, 77, 40);
    check_product<float, bf16>(cpu, 13, 301, 199);
    check_product<bf16, float>(cpu, 3, 1, 1);
  }
}

TEST_CASE("FP8 gradients of weights are what their definition says, on every SIMD level", "[backend][fp8]") {
  for (SimdLevel const level : levels()) {
    Cpu cpu(2, level);
    for (Index const tokens : {Index{1}, Index{128}, Index{300}}) {
      INFO("level " << static_cast<int>(level) << ", " << tokens << " tokens");
      auto const dy = operand<float>(tokens, 101, 4);
      auto const x = operand<bf16>(tokens, 270, 5);
      Tensor<float> dw(101, 270, 0.25f);
      cpu.linear_weight_grad<e4m3>(dy.cview(), x.cview(), dw.view());
      CHECK(test::same_bits(dw.values, gradient(by_tokens(dy), by_tokens(x), {101, 270, 0.25f}).values));
    }
  }
}

TEST_CASE("FP8 products have the same bits over threads, batches and groups", "[backend][fp8]") {
  Index const rows = 300, in = 200, out = 160;
  auto const x = operand<bf16>(rows, in, 6);
  auto const w = operand<float>(3 * out, in, 7);
  Index const first[] = {0, 37, 37, rows};
  Index const stride = Cpu::packed_size<e4m3>(out, in);
  Tensor<bf16> grouped;
  for (int const threads : {1, 2, 3}) {
    Cpu cpu(threads);
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
    cpu.grouped_linear_weight_grad<e4m3>(dy.cview(), x.cview(), dw.view().row_slice(0, out), out * in, first,
                                         Index{3});
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

TEST_CASE("numbers that are not finite reach every result that depends on them, and no other",
          "[backend][fp8]") {
  float const infinity = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  for (SimdLevel const level : levels())
    for (float const bad : {infinity, -infinity, nan}) {
      Cpu cpu(1, level);
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
    }
}

TEST_CASE("rounding to E4M3 in vectors is that of the type, and codes come back as BF16", "[backend][fp8]") {
  for (SimdLevel const level : levels()) {
    // Every float in steps that hit all halfway values of E4M3, and their neighbours.
    std::vector<float> x;
    for (std::uint32_t bits = 0; bits < 0x44000000u; bits += 1u << 18)
      for (std::uint32_t const near : {bits - 1, bits, bits + 1})
        if (near < 0x44000000u)
          for (std::uint32_t const sign : {0u, 0x80000000u}) x.push_back(std::bit_cast<float>(near | sign));
    x.resize(x.size() / 32 * 32);
    std::vector<bf16> values(x.size());
    for (std::size_t i = 0; i < x.size(); i += 16) {
      // Scales of 1: each tile's largest magnitude is 448, whatever the other fifteen are.
      float tile[17];
      for (int j = 0; j < 16; ++j) tile[j] = std::fmin(std::fmax(x[i + to_size(j)], -448.0f), 448.0f);
      tile[16] = 448.0f;
      bf16 out[17];
      float scale = 0;
      AETH_CPU_KERNEL(level, float, quantize_row, out, &scale, tile, Index{17});
      REQUIRE(scale == 1.0f);
      for (int j = 0; j < 16; ++j) {
        INFO(tile[j]);
        REQUIRE(static_cast<float>(out[j]) == static_cast<float>(e4m3(tile[j])));
        values[i + to_size(j)] = out[j];
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
