#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/random.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/on_backend.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/optim/step.hpp"
#include "support/catch.hpp"
#include "support/simd_levels.hpp"

using namespace aeth::optim;
using aeth::bf16;
using aeth::Index;
using aeth::ShapeError;
using aeth::UsageError;

namespace {

template <class T>
std::vector<T> random_values(std::size_t n, std::uint64_t item, double scale) {
  aeth::Random random(7, aeth::RandomUse::test, item);
  std::vector<T> out(n);
  for (auto& x : out) x = static_cast<T>(scale * random.normal());
  return out;
}

/// A flat buffer with its state; gradients of step t come from stream t.
template <class T, class M = T>
struct Problem {
  explicit Problem(std::size_t n) : weights(random_values<T>(n, 0, 1.0)), first(n), second(n) {
    state = {.first = first, .second = second, .step = 0};
  }
  std::vector<T> weights;
  std::vector<M> first, second;
  OptimizerState<T, M> state;
};

template <class T, class M, class O>
StepReport step(O const& optimizer, Problem<T, M>& problem, std::vector<T> const& gradients,
                std::vector<ParameterRange> const& ranges, double rate) {
  return apply_step(optimizer, std::span<T>(problem.weights), std::span<T const>(gradients), problem.state,
                    std::span<ParameterRange const>(ranges), rate);
}

template <class T>
bool same_bits(std::vector<T> const& a, std::vector<T> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

constexpr std::size_t n = 5000;

}  // namespace

TEMPLATE_TEST_CASE("AdamW follows the paper's algorithm", "", float, double) {
  using T = TestType;
  AdamWOptions const options{.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1.0};
  Problem<T> problem(n);
  std::vector<ParameterRange> const ranges{{0, 2000, true}, {2000, 5000, false}};
  std::vector<long double> weights(problem.weights.begin(), problem.weights.end()), first(n), second(n);
  long double largest_error = 0.0L;
  for (int t = 1; t <= 40; ++t) {
    double const rate = 1e-3 * t;
    auto const gradients = random_values<T>(n, static_cast<std::uint64_t>(t), t % 2 == 0 ? 1.0 : 1e-3);
    auto const report = step(AdamW(options), problem, gradients, ranges, rate);
    REQUIRE(report.applied);
    long double squares = 0.0L;
    for (auto const g : gradients) squares += static_cast<long double>(g) * static_cast<long double>(g);
    long double const norm = std::sqrt(squares);
    CHECK(report.gradient_norm == Approx(static_cast<double>(norm)).epsilon(1e-14));
    long double const scale = norm > 1.0L ? 1.0L / norm : 1.0L;
    for (std::size_t i = 0; i < n; ++i) {
      long double const g = scale * static_cast<long double>(gradients[i]);
      first[i] = 0.9L * first[i] + 0.1L * g;
      second[i] = 0.95L * second[i] + 0.05L * g * g;
      long double const first_hat = first[i] / (1.0L - std::pow(0.9L, t));
      long double const second_hat = second[i] / (1.0L - std::pow(0.95L, t));
      auto const eta = static_cast<long double>(rate);
      if (i < 2000) weights[i] -= eta * 0.1L * weights[i];
      weights[i] -= eta * first_hat / (std::sqrt(second_hat) + 1e-8L);
    }
  }
  for (std::size_t i = 0; i < n; ++i)
    largest_error =
        std::max(largest_error, std::fabs(weights[i] - static_cast<long double>(problem.weights[i])));
  // Each of 40 steps rounds a weight of size up to 4 once or twice, and a change of size below 0.2 a few
  // times.
  CHECK(largest_error < 40.0L * 8.0L * static_cast<long double>(std::numeric_limits<T>::epsilon()));
  CHECK(problem.state.step == 40);
}

TEMPLATE_TEST_CASE("SGD follows its algorithm", "", float, double) {
  using T = TestType;
  bool const nesterov = GENERATE(false, true);
  double const infinity = std::numeric_limits<double>::infinity();
  SgdOptions const options{.momentum = 0.8, .nesterov = nesterov, .weight_decay = 0.05, .clip = infinity};
  Problem<T> problem(n);
  std::vector<ParameterRange> const ranges{{0, 2500, false}, {2500, 5000, true}};
  std::vector<long double> weights(problem.weights.begin(), problem.weights.end()), momentum(n);
  for (int t = 1; t <= 20; ++t) {
    auto const gradients = random_values<T>(n, static_cast<std::uint64_t>(t), 1.0);
    CHECK(step(Sgd(options), problem, gradients, ranges, 0.01).gradient_scale == 1.0);
    for (std::size_t i = 0; i < n; ++i) {
      long double const g = static_cast<long double>(gradients[i]);
      momentum[i] = 0.8L * momentum[i] + g;
      if (i >= 2500) weights[i] -= 0.01L * 0.05L * weights[i];
      weights[i] -= 0.01L * (nesterov ? g + 0.8L * momentum[i] : momentum[i]);
    }
  }
  long double largest_error = 0.0L;
  for (std::size_t i = 0; i < n; ++i)
    largest_error =
        std::max(largest_error, std::fabs(weights[i] - static_cast<long double>(problem.weights[i])));
  CHECK(largest_error < 20.0L * 8.0L * static_cast<long double>(std::numeric_limits<T>::epsilon()));
}

TEST_CASE("the first AdamW step moves each weight by the learning rate against its gradient") {
  double const infinity = std::numeric_limits<double>::infinity();
  Problem<double> problem(n);
  auto const before = problem.weights;
  auto const gradients = random_values<double>(n, 1, 1.0);
  step(AdamW({.weight_decay = 0.0, .clip = infinity}), problem, gradients, {{0, 5000, true}}, 0.01);
  for (std::size_t i = 0; i < n; ++i)
    REQUIRE(problem.weights[i] - before[i] ==
            Approx(-0.01 * gradients[i] / (std::fabs(gradients[i]) + 1e-8)));
}

TEST_CASE("decay acts on the ranges that ask for it, weights outside all ranges are frozen") {
  Problem<float> problem(n);
  auto const before = problem.weights;
  std::vector<float> const zero(n);
  step(AdamW(), problem, zero, {{0, 1000, true}, {1000, 2000, false}, {3000, 4000, true}}, 0.5);
  for (std::size_t i = 0; i < n; ++i) {
    bool const decays = i < 1000 || (i >= 3000 && i < 4000);
    REQUIRE(problem.weights[i] == (decays ? std::fma(-0.05f, before[i], before[i]) : before[i]));
  }
}

TEST_CASE("splitting ranges does not change a bit") {
  Problem<float> whole(n), split(n);
  for (std::uint64_t t = 1; t <= 5; ++t) {
    auto const gradients = random_values<float>(n, t, 1.0);
    step(AdamW(), whole, gradients, {{0, 5000, true}}, 1e-2);
    step(AdamW(), split, gradients, {{0, 1, true}, {1, 17, true}, {17, 4099, true}, {4099, 5000, true}},
         1e-2);
  }
  CHECK(same_bits(whole.weights, split.weights));
  CHECK(same_bits(whole.first, split.first));
  CHECK(same_bits(whole.second, split.second));
}

TEMPLATE_TEST_CASE("on a backend an optimizer computes the same bits", "", (std::pair<AdamW, float>),
                   (std::pair<AdamW, bf16>), (std::pair<Sgd, float>), (std::pair<Sgd, bf16>)) {
  using Moment = typename TestType::second_type;
  std::size_t const size = 40'003;
  typename TestType::first_type const optimizer;
  for (auto const level : aeth::test::simd_levels())
    for (int const threads : {1, 3}) {
      aeth::Cpu cpu(threads, level);
      OnBackend const on_backend(optimizer, cpu);
      static_assert(Optimizer<std::remove_const_t<decltype(on_backend)>, float, Moment>);
      Problem<float, Moment> plain(size), parallel(size);
      std::vector<ParameterRange> const ranges{
          {0, 17'001, true}, {17'001, 17'003, false}, {17'003, 40'003, true}};
      for (std::uint64_t t = 1; t <= 3; ++t) {
        auto gradients = random_values<float>(size, t, 1.0);
        for (std::size_t i = 0; i < size; i += 7) gradients[i] *= 1e-18f;  // squares that are subnormal
        step(optimizer, plain, gradients, ranges, 1e-2);
        step(on_backend, parallel, gradients, ranges, 1e-2);
      }
      CHECK(same_bits(plain.weights, parallel.weights));
      CHECK(same_bits(plain.first, parallel.first));
      CHECK(same_bits(plain.second, parallel.second));
    }
}

TEMPLATE_TEST_CASE("moments in BF16 are rounded when they are stored, after the weight has seen them", "",
                   AdamW, Sgd) {
  TestType const optimizer;
  Problem<float, bf16> narrow(n);
  Problem<float> wide(n);
  std::vector<ParameterRange> const ranges{{0, 2000, true}, {2000, 5000, false}};
  for (std::uint64_t t = 1; t <= 5; ++t) {
    auto const gradients = random_values<float>(n, t, t % 2 == 0 ? 1.0 : 1e-3);
    for (std::size_t i = 0; i < n; ++i) {
      wide.first[i] = static_cast<float>(narrow.first[i]);
      wide.second[i] = static_cast<float>(narrow.second[i]);
    }
    step(optimizer, narrow, gradients, ranges, 1e-2);
    step(optimizer, wide, gradients, ranges, 1e-2);
    REQUIRE(same_bits(narrow.weights, wide.weights));
    for (std::size_t i = 0; i < n; ++i) {
      REQUIRE(narrow.first[i] == bf16(wide.first[i]));
      REQUIRE(narrow.second[i] == bf16(wide.second[i]));
    }
  }
}

TEST_CASE("moments in BF16 decay until they are subnormal, and stall near their mean only") {
  // 0.95 v is 6 to 13 units in the last place below v, so rounding moves every v; 0.999 v rounds to v.
  AdamWFactors<float> const k = adamw_factors<float>({}, {.number = 1000}, false);
  AdamWFactors<float> const slow = adamw_factors<float>({.beta2 = 0.999}, {.number = 1000}, false);
  for (std::uint32_t bits = 0x80; bits < 0x7F80; ++bits) {
    float weight = 0;
    bf16 start, m, v;
    start.bits = static_cast<std::uint16_t>(bits);
    m = v = start;
    adamw_element(weight, 0.0f, m, v, k);
    REQUIRE(m.bits < start.bits);
    REQUIRE(v.bits < start.bits);
    m = v = start;
    adamw_element(weight, 0.0f, m, v, slow);
    REQUIRE(v == start);
  }
  // Under one gradient for ever, m and v stop where a step is below half a unit: 2^-8 / 0.1 and 2^-8 / 0.05 at most.
  // Under random gradients rounding errors cancel: the mean of v stays.
  float farthest_first = 0, farthest_second = 0;
  double narrow_sum = 0, wide_sum = 0;
  for (std::uint64_t item = 0; item < 200; ++item) {
    aeth::Random random(11, aeth::RandomUse::test, item);
    float const gradient = static_cast<float>(std::exp(random.normal()));
    float weight = 0, wide_m = 0, wide_v = 0;
    bf16 m, v;
    for (int t = 0; t < 1000; ++t) adamw_element(weight, gradient, m, v, k);
    farthest_first = std::max(farthest_first, std::fabs(static_cast<float>(m) / gradient - 1));
    farthest_second = std::max(farthest_second, std::fabs(static_cast<float>(v) / (gradient * gradient) - 1));
    m = v = bf16();
    for (int t = 0; t < 2000; ++t) {
      float const g = gradient * static_cast<float>(random.normal());
      adamw_element(weight, g, m, v, k);
      adamw_element(weight, g, wide_m, wide_v, k);
      narrow_sum += static_cast<double>(static_cast<float>(v) / (gradient * gradient));
      wide_sum += static_cast<double>(wide_v / (gradient * gradient));
    }
  }
  UNSCOPED_INFO(farthest_first << ' ' << farthest_second << ' ' << narrow_sum / wide_sum);
  CHECK(farthest_first < 1.01f / 25.6f);
  CHECK(farthest_second < 1.01f / 12.8f);
  CHECK(std::fabs(narrow_sum / wide_sum - 1) < 1e-3);
}

TEST_CASE("bias corrections agree with the closed form") {
  for (double const beta : {0.0, 0.5, 0.9, 0.95, 0.999, 0.9999})
    for (Index const t : {Index{1}, Index{2}, Index{3}, Index{10}, Index{77}, Index{1000}, Index{123456},
                          Index{10'000'000}}) {
      long double const expected =
          1.0L - std::pow(static_cast<long double>(beta), static_cast<long double>(t));
      INFO(beta << " " << t);
      CHECK(bias_correction(beta, t) == Approx(static_cast<double>(expected)).epsilon(4e-15));
    }
}

TEST_CASE("the norm has one order of summation") {
  // Enough blocks for several tasks of the thread pool.
  auto const gradients = random_values<float>(70 * 4096 + 1234, 5, 1e3);
  std::span<float const> const view(gradients);
  double total = 0.0;
  for (std::size_t begin = 0; begin < gradients.size(); begin += 4096) {
    std::array<double, 16> lanes{};
    for (std::size_t i = begin; i < std::min(begin + 4096, gradients.size()); ++i)
      lanes[(i - begin) % 16] += static_cast<double>(gradients[i]) * static_cast<double>(gradients[i]);
    for (std::size_t half : {8u, 4u, 2u, 1u})
      for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    total += lanes[0];
  }
  CHECK(std::sqrt(total) == global_norm(view));
  for (int const threads : {1, 2, 3, 4}) {
    aeth::Cpu cpu(threads);
    CHECK(std::sqrt(cpu.sum_of_squares(view.data(), static_cast<Index>(view.size()))) == global_norm(view));
  }
  long double squares = 0.0L;
  for (float const g : gradients) squares += static_cast<long double>(g) * static_cast<long double>(g);
  CHECK(global_norm(view) == Approx(static_cast<double>(std::sqrt(squares))).epsilon(1e-14));
  CHECK(global_norm(std::span<float const>{}) == 0.0);
  std::vector<float> const large(100, std::numeric_limits<float>::max());
  CHECK(std::isfinite(global_norm(std::span<float const>(large))));
}

TEST_CASE("clipping bounds the norm and keeps the direction") {
  for (double const scale : {1e-30, 1e-3, 0.5, 2.0, 1e10, 1e30}) {
    auto const gradients = random_values<double>(n, 3, scale);
    double const norm = global_norm(std::span<double const>(gradients));
    double const factor = clip_scale(norm, 1.0);
    CHECK(factor <= 1.0);
    CHECK(norm * factor <= 1.0 + 4 * std::numeric_limits<double>::epsilon());
    if (norm <= 1.0) CHECK(factor == 1.0);
  }
}

TEMPLATE_TEST_CASE("gradients that are not finite change nothing", "", AdamW, Sgd) {
  float const bad = GENERATE(std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN());
  Problem<float> problem(n);
  auto gradients = random_values<float>(n, 1, 1.0);
  step(TestType(), problem, gradients, {{0, 5000, true}}, 0.1);
  auto const before = problem;
  gradients[4567] = bad;
  auto const report = step(TestType(), problem, gradients, {{0, 5000, true}}, 0.1);
  CHECK_FALSE(report.applied);
  CHECK_FALSE(std::isfinite(report.gradient_norm));
  CHECK(problem.state.step == 1);
  CHECK(same_bits(problem.weights, before.weights));
  CHECK(same_bits(problem.first, before.first));
  CHECK(same_bits(problem.second, before.second));
}

TEST_CASE("options that make no sense are refused by name") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  double const infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(AdamW({.clip = 0.0}),
                    "AdamWOptions::clip must be positive (infinity for no clipping); got 0");
  CHECK_THROWS_WITH(AdamW({.beta1 = 1.0}), "AdamWOptions::beta1 must be at least 0 and below 1; got 1");
  CHECK_THROWS_AS(AdamW({.beta2 = nan}), UsageError);
  CHECK_THROWS_AS(AdamW({.beta2 = -0.1}), UsageError);
  CHECK_THROWS_AS(AdamW({.epsilon = 0.0}), UsageError);
  CHECK_THROWS_AS(AdamW({.weight_decay = infinity}), UsageError);
  CHECK_THROWS_AS(AdamW({.weight_decay = -1.0}), UsageError);
  CHECK_THROWS_AS(AdamW({.clip = nan}), UsageError);
  CHECK_NOTHROW(AdamW({.clip = infinity}));
  CHECK_THROWS_AS(Sgd({.momentum = 1.0}), UsageError);
  CHECK_THROWS_AS(Sgd({.weight_decay = nan}), UsageError);
  CHECK_THROWS_AS(Sgd({.clip = -1.0}), UsageError);
  Problem<float> problem(n);
  auto const gradients = random_values<float>(n, 1, 1.0);
  for (double const rate : {nan, infinity, -1.0})
    CHECK_THROWS_AS(step(AdamW(), problem, gradients, {{0, 5000, true}}, rate), UsageError);
}

TEST_CASE("buffers and ranges that do not match are refused") {
  Problem<float> problem(n);
  auto const gradients = random_values<float>(n, 1, 1.0);
  auto const short_gradients = random_values<float>(n - 1, 1, 1.0);
  CHECK_THROWS_WITH(step(AdamW(), problem, short_gradients, {{0, 5000, true}}, 0.1),
                    "optimizer step: 4999 gradients for 5000 weights");
  CHECK_THROWS_AS(step(AdamW(), problem, gradients, {{0, 5001, true}}, 0.1), ShapeError);
  CHECK_THROWS_AS(step(AdamW(), problem, gradients, {{-1, 5, true}}, 0.1), ShapeError);
  CHECK_THROWS_AS(step(AdamW(), problem, gradients, {{5, 4, true}}, 0.1), ShapeError);
  CHECK_THROWS_AS(step(AdamW(), problem, gradients, {{0, 100, true}, {99, 200, true}}, 0.1), ShapeError);
  problem.state.second = {};
  CHECK_THROWS_AS(step(AdamW(), problem, gradients, {{0, 5000, true}}, 0.1), ShapeError);
  CHECK_NOTHROW(step(Sgd(), problem, gradients, {{0, 5000, true}}, 0.1));
}
