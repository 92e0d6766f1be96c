#include "aeth/numeric/block_scales.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "aeth/core/random.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {

struct Quantised {
  std::vector<e4m3> codes;
  std::vector<float> scales;
  bool operator==(Quantised const&) const = default;
};

Quantised quantise(std::vector<float> const& w, Index rows, Index cols, ScaleForm form) {
  Index const per_row = ceil_div(cols, scale_block);
  Quantised q{std::vector<e4m3>(w.size()),
              std::vector<float>(to_size(ceil_div(rows, scale_block) * per_row))};
  for (Index row = 0; row < rows; row += scale_block) {
    MatrixView<float const> const strip(w.data() + row * cols, std::min(scale_block, rows - row), cols);
    float* const scales = q.scales.data() + row / scale_block * per_row;
    strip_scales(strip, form, scales);
    quantize_strip(strip, scales, q.codes.data() + row * cols);
  }
  return q;
}

std::vector<float> dequantise(Quantised const& q, Index rows, Index cols) {
  std::vector<float> w(to_size(rows * cols));
  for (Index row = 0; row < rows; ++row)
    dequantize_row(q.codes.data() + row * cols,
                   q.scales.data() + row / scale_block * ceil_div(cols, scale_block), cols,
                   w.data() + row * cols);
  return w;
}

std::vector<float> random_matrix(Index rows, Index cols, std::uint64_t seed) {
  Random random(seed, RandomUse::init, 0);
  std::vector<float> w(to_size(rows * cols));
  for (float& x : w) x = static_cast<float>(random.normal() * 0.02);
  return w;
}

}  // namespace

TEST_CASE("block scales reach each element's neighbourhood, ragged edges too", "[numeric][block_scales]") {
  for (auto const form : {ScaleForm::any, ScaleForm::power_of_two}) {
    Index const rows = 300, cols = 200;
    auto const w = random_matrix(rows, cols, 1);
    auto const q = quantise(w, rows, cols, form);
    CHECK(q.scales.size() == 6);
    auto const back = dequantise(q, rows, cols);
    for (std::size_t i = 0; i < w.size(); ++i) {
      // Half a unit in the last of four significant bits, or half of the smallest code.
      float const scale = q.scales[i / 200 / 128 * 2 + i % 200 / 128];
      CHECK(std::fabs(back[i] - w[i]) <= std::max(std::fabs(w[i]) / 16, scale * 0x1p-10f) * 1.0001f);
    }
    for (float const scale : q.scales)
      if (int exponent = 0; form == ScaleForm::power_of_two) CHECK(std::frexp(scale, &exponent) == 0.5f);
  }
}

TEST_CASE("what was read from codes quantises to the same codes and scales", "[numeric][block_scales]") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Index const rows = 128 + static_cast<Index>(seed), cols = 256;
    for (auto const form : {ScaleForm::any, ScaleForm::power_of_two}) {
      auto const q = quantise(random_matrix(rows, cols, seed), rows, cols, form);
      CHECK(quantise(dequantise(q, rows, cols), rows, cols, form) == q);
    }
  }
}

TEST_CASE("zeros, outliers and tiny numbers have finite scales", "[numeric][block_scales]") {
  std::vector<float> w(128 * 128, 0.0f);
  auto q = quantise(w, 128, 128, ScaleForm::any);
  CHECK(q.scales[0] == 1.0f);
  CHECK(dequantise(q, 128, 128) == w);
  w[5] = 1e38f;
  w[6] = 1.0f;
  q = quantise(w, 128, 128, ScaleForm::any);
  CHECK(q.codes[5].bits == 0x7E);
  CHECK(q.codes[6].bits == 0);
  std::fill(w.begin(), w.end(), 1e-44f);
  for (auto const form : {ScaleForm::any, ScaleForm::power_of_two}) {
    q = quantise(w, 128, 128, form);
    CHECK(q.scales[0] > 0.0f);
    CHECK(std::isfinite(dequantise(q, 128, 128)[0]));
  }
}
