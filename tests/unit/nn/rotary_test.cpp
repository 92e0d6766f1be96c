// Rotary frequencies and tables, with YaRN's published values.
#include "aeth/nn/rotary.hpp"

#include <algorithm>
#include <cmath>

#include "aeth/config/presets/deepseek_v2.hpp"
#include "aeth/config/presets/deepseek_v3.hpp"
#include "aeth/config/presets/kimi_k2.hpp"
#include "support/catch.hpp"

using namespace aeth;
using nn::rotary_frequency;

namespace {

/// The share of interpolation at a pair, recovered from its frequency.
double ramp(MlaConfig const& mla, int pair) {
  double const base = std::pow(mla.rope.theta, -2.0 * pair / mla.rope_dim);
  return (1.0 - rotary_frequency(mla, pair) / base) / (1.0 - 1.0 / mla.rope.yarn.factor);
}

}  // namespace

TEST_CASE("rotary frequencies of DeepSeek-V3 with YaRN", "[nn]") {
  // Computed once from DeepSeek-V3's `precompute_freqs_cis` in double: pair, frequency.
  struct Value {
    int pair;
    double frequency;
  };
  for (Value const v : {Value{0, 1.0},
                        {1, 0.749894209},
                        {10, 0.0562341325},
                        {11, 0.0390069266},
                        {16, 0.0055},
                        {22, 0.000177827941},
                        {23, 3.33380358e-05},
                        {31, 3.33380358e-06}}) {
    INFO("pair " << v.pair);
    // Nine digits are published.
    CHECK(rotary_frequency(presets::deepseek_v3.mla, v.pair) == Catch::Approx(v.frequency).epsilon(5e-9));
    CHECK(rotary_frequency(presets::deepseek_v2_lite.mla, v.pair) ==
          Catch::Approx(v.frequency).epsilon(5e-9));
  }
  // low = 10 and high = 23: the ramp begins after pair 10 and ends at pair 23, in thirteenths.
  for (int pair = 0; pair < 32; ++pair) {
    double const wanted = std::min(std::max((pair - 10) / 13.0, 0.0), 1.0);
    CHECK(ramp(presets::deepseek_v3.mla, pair) == Catch::Approx(wanted).margin(1e-12));
  }
}

TEST_CASE("YaRN with both rotations equal: low 19, high 20", "[nn]") {
  for (int pair = 0; pair < 32; ++pair)
    CHECK(ramp(presets::kimi_k2.mla, pair) == Catch::Approx(pair <= 19 ? 0.0 : 1.0).margin(1e-12));
}

TEST_CASE("YaRN's ramp is clamped at both ends", "[nn]") {
  MlaConfig mla{.heads = 1, .kv_rank = 1, .nope_dim = 1, .rope_dim = 8, .v_dim = 1};
  // dim(n) = 8 · ln(L / 2πn) / (2 ln 10000). For L = 8 and n = 32 it is negative: low = 0. For n = 1 it is
  // 0.105: high = 1.
  mla.rope.yarn = {.factor = 4.0, .original_context = 8};
  CHECK(ramp(mla, 0) == Catch::Approx(0.0).margin(1e-12));
  for (int pair = 1; pair < 4; ++pair) CHECK(ramp(mla, pair) == Catch::Approx(1.0).margin(1e-12));
  // low == high == 0 when even one rotation does not fit: high becomes 0.001, so pair 0 stays.
  mla.rope.yarn.original_context = 6;
  mla.rope.yarn.beta_slow = 1.0;
  CHECK(ramp(mla, 0) == Catch::Approx(0.0).margin(1e-12));
  CHECK(ramp(mla, 1) == Catch::Approx(1.0).margin(1e-12));
  // The upper clamp is R - 1 = 7, not R/2 - 1 = 3: with theta 10, dim(1) = 8 · ln(4096 / 2π) / (2 ln 10) =
  // 11.3, so high = 7, and dim(32) = 5.2, so low = 5, past the last pair: nothing is interpolated.
  mla.rope.theta = 10.0;
  mla.rope.yarn = {.factor = 4.0, .original_context = 4096};
  for (int pair = 0; pair < 4; ++pair) CHECK(ramp(mla, pair) == Catch::Approx(0.0).margin(1e-12));
  // With beta_fast 1024 dim is -0.8, low = 0: pair i has i/7.
  mla.rope.yarn.beta_fast = 1024.0;
  for (int pair = 0; pair < 4; ++pair) CHECK(ramp(mla, pair) == Catch::Approx(pair / 7.0).margin(1e-12));
}

TEST_CASE("YaRN's magnitudes", "[nn]") {
  CHECK(nn::yarn_magnitude(1.0, 1.0) == 1.0);
  CHECK(nn::yarn_magnitude(0.5, 1.0) == 1.0);
  CHECK(nn::yarn_magnitude(40.0, 0.0) == 1.0);
  CHECK(nn::yarn_magnitude(40.0, 1.0) == Catch::Approx(1.3688879454113936).epsilon(1e-15));
  CHECK(nn::yarn_magnitude(40.0, 0.707) == Catch::Approx(1.2608037774058553).epsilon(1e-15));
  // 1/sqrt(192) times the square of the magnitude.
  CHECK(nn::softmax_scale(presets::deepseek_v3.mla) == Catch::Approx(0.1352337788608801).epsilon(1e-14));
  MlaConfig plain = presets::deepseek_v3.mla;
  plain.rope.yarn.factor = 1.0;
  CHECK(nn::softmax_scale(plain) == Catch::Approx(0.07216878364870323).epsilon(1e-14));
}

TEST_CASE("rotary tables: layout, growth, rounding", "[nn]") {
  MlaConfig mla{.heads = 1, .kv_rank = 1, .nope_dim = 1, .rope_dim = 6, .v_dim = 1};
  mla.rope.yarn = {.factor = 8.0, .original_context = 64, .mscale = 2.0, .mscale_all_dim = 0.5};
  double const magnitude = nn::yarn_magnitude(8.0, 2.0) / nn::yarn_magnitude(8.0, 0.5);
  nn::RotaryTable<float> table(mla);
  table.reserve(3);
  table.reserve(200);
  table.reserve(10);  // shrinks nothing
  for (int p = 0; p < 200; ++p)
    for (int pair = 0; pair < 3; ++pair) {
      double const angle = p * rotary_frequency(mla, pair);
      float const c = static_cast<float>(std::cos(angle) * magnitude);
      float const s = static_cast<float>(std::sin(angle) * magnitude);
      int const at = p * 6 + 2 * pair;
      REQUIRE(table.cosine()[at] == c);
      REQUIRE(table.cosine()[at + 1] == c);
      REQUIRE(table.sine()[at] == -s);
      REQUIRE(table.sine()[at + 1] == s);
    }
}
