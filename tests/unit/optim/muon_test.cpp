// Muon against loops in double, and what of it is AdamW's.
#include "aeth/optim/muon.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/optim/on_backend.hpp"
#include "aeth/optim/step.hpp"
#include "support/catch.hpp"
#include "support/simd_levels.hpp"
#include "support/tensor.hpp"

using namespace aeth;
using namespace aeth::optim;
using Catch::Matchers::ContainsSubstring;
using test::same_bits;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// A wide matrix, gains of a norm, a tall matrix, a square one that does not decay, an embedding.
std::vector<ParameterRange> const ranges{{0, 24 * 70, true, 24, 70},
                                         {1680, 1750, false},
                                         {1750, 1750 + 65 * 18, true, 65, 18},
                                         {2920, 2920 + 32 * 32, false, 32, 32},
                                         {3944, 4500, true}};
constexpr std::size_t n = 4500;

template <class T>
std::vector<T> random_values(std::uint64_t stream, double scale = 1.0, std::size_t size = n) {
  return test::random_tensor<T>(1, static_cast<Index>(size), stream, scale).values;
}

template <class T, class M = T>
struct Problem {
  std::vector<T> weights = random_values<T>(0);
  std::vector<M> first = std::vector<M>(n), second = std::vector<M>(n);
  OptimizerState<T, M> state{.first = first, .second = second};

  Problem() = default;
  Problem(Problem const&) = delete;
  Problem& operator=(Problem const&) = delete;

  template <class O>
  StepReport step(O const& optimizer, std::vector<T> const& gradients, double rate,
                  std::vector<ParameterRange> const& all = ranges) {
    return apply_step(optimizer, std::span<T>(weights), std::span<T const>(gradients), state,
                      std::span<ParameterRange const>(all), rate);
  }
};

/// A step on a backend of its own.
template <class T, class M>
StepReport muon_step(Problem<T, M>& problem, MuonOptions const& options, std::vector<T> const& gradients,
                     double rate, int threads = 2, SimdLevel level = best_simd_level()) {
  Cpu cpu(threads, level);
  Arena scratch;
  Muon const muon(options);
  return problem.step(OnBackend(muon, cpu, scratch), gradients, rate);
}

using Rows = std::vector<std::vector<double>>;

Rows product(Rows const& a, Rows const& b) {
  Rows c(a.size(), std::vector<double>(b[0].size()));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < b.size(); ++k)
      for (std::size_t j = 0; j < b[0].size(); ++j) c[i][j] += a[i][k] * b[k][j];
  return c;
}

Rows transposed(Rows const& a) {
  Rows t(a[0].size(), std::vector<double>(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[0].size(); ++j) t[j][i] = a[i][j];
  return t;
}

/// The iteration as Moonlight writes it, always in the wide form.
Rows newton_schulz(Rows x) {
  bool const tall = x.size() > x[0].size();
  if (tall) x = transposed(x);
  double squares = 0.0;
  for (auto const& row : x)
    for (double const v : row) squares += v * v;
  for (auto& row : x)
    for (double& v : row) v /= std::sqrt(squares) + 1e-7;
  for (int step = 0; step < 5; ++step) {
    Rows const a = product(x, transposed(x)), a2 = product(a, a);
    Rows b = a;
    for (std::size_t i = 0; i < a.size(); ++i)
      for (std::size_t j = 0; j < a.size(); ++j) b[i][j] = -4.7750 * a[i][j] + 2.0315 * a2[i][j];
    Rows const bx = product(b, x);
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t j = 0; j < x[0].size(); ++j) x[i][j] = 3.4445 * x[i][j] + bx[i][j];
  }
  return tall ? transposed(x) : x;
}

/// One step of a matrix, by the formula; `weights` and `momentum` are its elements, row by row.
void twin(double* weights, double* momentum, double const* gradients, ParameterRange const& range,
          MuonOptions const& o, double rate) {
  Rows direction(to_size(range.rows), std::vector<double>(to_size(range.cols)));
  for (std::size_t i = 0; i < direction.size(); ++i)
    for (std::size_t j = 0; j < direction[0].size(); ++j) {
      std::size_t const at = i * to_size(range.cols) + j;
      momentum[at] = o.momentum * momentum[at] + gradients[at];
      direction[i][j] = o.nesterov ? gradients[at] + o.momentum * momentum[at] : momentum[at];
    }
  direction = newton_schulz(direction);
  double const factor = o.update_rms * std::sqrt(static_cast<double>(std::max(range.rows, range.cols)));
  for (std::size_t i = 0; i < direction.size(); ++i)
    for (std::size_t j = 0; j < direction[0].size(); ++j) {
      double& w = weights[i * to_size(range.cols) + j];
      w -= rate * ((range.decay ? o.weight_decay * w : 0.0) + factor * direction[i][j]);
    }
}

double rms(std::vector<double> const& x) {
  double squares = 0.0;
  for (double const v : x) squares += v * v;
  return std::sqrt(squares / static_cast<double>(x.size()));
}

}  // namespace

TEMPLATE_TEST_CASE("Muon follows its algorithm", "", float, double) {
  using T = TestType;
  bool const nesterov = GENERATE(true, false);
  MuonOptions const options{.momentum = 0.8, .nesterov = nesterov, .update_rms = 0.3, .weight_decay = 0.2};
  Problem<T> problem;
  std::vector<double> weights(problem.weights.begin(), problem.weights.end()), momentum(n);
  constexpr int steps = 6;
  constexpr double rate = 0.01;
  for (int t = 1; t <= steps; ++t) {
    auto const gradients = random_values<T>(static_cast<std::uint64_t>(t), t % 2 == 0 ? 1.0 : 1e-3);
    auto const report = muon_step(problem, options, gradients, rate);
    REQUIRE((report.applied && report.gradient_scale < 1.0) == (t % 2 == 0));
    std::vector<double> clipped(gradients.begin(), gradients.end());
    for (double& g : clipped) g *= report.gradient_scale;
    for (ParameterRange const& r : ranges)
      if (r.is_matrix())
        twin(&weights[to_size(r.begin)], &momentum[to_size(r.begin)], &clipped[to_size(r.begin)], r, options,
             rate);
  }
  double const epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (ParameterRange const& r : ranges) {
    if (!r.is_matrix()) continue;
    double weight_error = 0.0, momentum_error = 0.0;
    for (std::size_t i = to_size(r.begin); i < to_size(r.end); ++i) {
      weight_error = std::max(weight_error, std::fabs(weights[i] - static_cast<double>(problem.weights[i])));
      momentum_error =
          std::max(momentum_error, std::fabs(momentum[i] - static_cast<double>(problem.first[i])));
    }
    // In each step the direction is off by at most 500 ε, as the iteration's own test has it, and a weight of size up
    // to 4 is rounded twice; momentum is below 1 and rounded three times.
    double const factor = rate * 0.3 * std::sqrt(static_cast<double>(std::max(r.rows, r.cols)));
    CHECK(weight_error < steps * epsilon * (500 * factor + 8));
    CHECK(momentum_error < steps * epsilon * 3);
    CHECK(std::all_of(problem.second.begin() + r.begin, problem.second.begin() + r.end,
                      [](T v) { return v == T(0); }));
  }
}

TEST_CASE("Muon's updates have the root mean square that the options ask for") {
  for (double const wanted : {0.2, 0.05}) {
    Problem<double> problem;
    auto const before = problem.weights;
    muon_step(problem, {.update_rms = wanted, .weight_decay = 0.0}, random_values<double>(1), 1.0);
    for (ParameterRange const& r : ranges) {
      if (!r.is_matrix()) continue;
      std::vector<double> moved;
      for (std::size_t i = to_size(r.begin); i < to_size(r.end); ++i)
        moved.push_back(problem.weights[i] - before[i]);
      // Singular values are between 0.68 and 1.14, but for the few below 0.002 of the norm that a square matrix may have.
      CHECK(rms(moved) > 0.65 * wanted);
      CHECK(rms(moved) < 1.14 * wanted);
    }
  }
}

TEST_CASE("Muon moves a matrix without gradients by its decay only, and keeps momentum finite") {
  Problem<float> problem;
  auto const before = problem.weights;
  for (int t = 0; t < 3; ++t) muon_step(problem, {}, std::vector<float>(n), 0.5);
  for (ParameterRange const& r : ranges)
    for (std::size_t i = to_size(r.begin); i < to_size(r.end); ++i) {
      float wanted = before[i];
      for (int t = 0; t < 3; ++t) wanted = r.decay ? std::fma(-0.05f, wanted, wanted) : wanted;
      REQUIRE(problem.weights[i] == wanted);
      REQUIRE(problem.first[i] == 0.0f);
    }
  // As small as numbers get: the direction fades below the iteration's ε, and nothing is lost.
  muon_step(problem, {}, random_values<float>(1, 1e-30), 0.5);
  CHECK(
      std::all_of(problem.weights.begin(), problem.weights.end(), [](float w) { return std::isfinite(w); }));
}

TEST_CASE("what is no matrix gets AdamW's update from Muon, bit for bit") {
  MuonOptions const options{.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6, .weight_decay = 0.3, .clip = 2.0};
  AdamW const adamw({.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6, .weight_decay = 0.3, .clip = 2.0});
  Problem<float, bf16> mixed, plain;
  for (std::uint64_t t = 1; t <= 4; ++t) {
    auto const gradients = random_values<float>(t);
    muon_step(mixed, options, gradients, 1e-2);
    plain.step(adamw, gradients, 1e-2);
  }
  for (ParameterRange const& r : ranges) {
    auto const part = [&](auto const& x) { return std::vector(x.begin() + r.begin, x.begin() + r.end); };
    bool const equal = same_bits(part(mixed.weights), part(plain.weights)) &&
                       same_bits(part(mixed.first), part(plain.first)) &&
                       same_bits(part(mixed.second), part(plain.second));
    CHECK(equal == !r.is_matrix());
  }
  // Without a backend there is nothing but AdamW's part.
  Problem<float> alone;
  std::vector<ParameterRange> const elementwise{{0, 4500, true}};
  Problem<float> wanted;
  alone.step(Muon(options), random_values<float>(1), 1e-2, elementwise);
  wanted.step(adamw, random_values<float>(1), 1e-2, elementwise);
  CHECK(same_bits(alone.weights, wanted.weights));
  CHECK_THROWS_WITH(alone.step(Muon(options), random_values<float>(1), 1e-2),
                    "Muon: range 0 .. 1680 is a matrix, which is updated on a backend; give apply_step an "
                    "optim::OnBackend");
}

TEMPLATE_TEST_CASE("Muon leaves the same bits on all levels and threads", "", float, bf16) {
  Problem<float, TestType> wanted;
  for (std::uint64_t t = 1; t <= 3; ++t) muon_step(wanted, {}, random_values<float>(t), 1e-2, 1);
  for (SimdLevel const level : test::simd_levels())
    for (int const threads : {1, 2, 3}) {
      Problem<float, TestType> problem;
      for (std::uint64_t t = 1; t <= 3; ++t)
        muon_step(problem, {}, random_values<float>(t), 1e-2, threads, level);
      CHECK(same_bits(problem.weights, wanted.weights));
      CHECK(same_bits(problem.first, wanted.first));
      CHECK(same_bits(problem.second, wanted.second));
    }
}

TEST_CASE("Muon rounds momentum to BF16 when it is stored, after the direction has seen it") {
  Problem<float, bf16> narrow;
  Problem<float> wide;
  for (std::uint64_t t = 1; t <= 4; ++t) {
    auto const gradients = random_values<float>(t);
    for (std::size_t i = 0; i < n; ++i) {
      wide.first[i] = static_cast<float>(narrow.first[i]);
      wide.second[i] = static_cast<float>(narrow.second[i]);
    }
    muon_step(narrow, {}, gradients, 1e-2);
    muon_step(wide, {}, gradients, 1e-2);
    REQUIRE(same_bits(narrow.weights, wide.weights));
    for (std::size_t i = 0; i < n; ++i) REQUIRE(narrow.first[i] == bf16(wide.first[i]));
  }
}

TEST_CASE("Muon takes scratch from its arena once, and gives it back") {
  Cpu cpu(2);
  Arena scratch;
  Muon const muon;
  Problem<float> problem;
  problem.step(OnBackend(muon, cpu, scratch), random_values<float>(1), 1e-2);
  Index const held = scratch.capacity();
  problem.step(OnBackend(muon, cpu, scratch), random_values<float>(2), 1e-2);
  CHECK(scratch.capacity() == held);
  CHECK(scratch.mark().taken == 0);
}

TEST_CASE("Muon leaves everything as it is if a gradient is not finite") {
  Problem<float> problem;
  muon_step(problem, {}, random_values<float>(1), 1e-2);
  auto const weights = problem.weights, first = problem.first;
  auto gradients = random_values<float>(2);
  gradients[2000] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(muon_step(problem, {}, gradients, 1e-2).applied);
  CHECK(same_bits(problem.weights, weights));
  CHECK(same_bits(problem.first, first));
}

TEST_CASE("options and ranges that make no sense are refused by Muon, by name") {
  double const nan = std::nan("");
  CHECK_THROWS_WITH(Muon({.momentum = 1.0}), "MuonOptions::momentum must be at least 0 and below 1; got 1");
  CHECK_THROWS_WITH(Muon({.update_rms = 0.0}), "MuonOptions::update_rms must be positive and finite; got 0");
  CHECK_THROWS_WITH(Muon({.beta1 = nan}), ContainsSubstring("MuonOptions::beta1"));
  CHECK_THROWS_WITH(Muon({.beta2 = -0.1}), ContainsSubstring("MuonOptions::beta2"));
  CHECK_THROWS_WITH(Muon({.epsilon = infinity}), ContainsSubstring("MuonOptions::epsilon"));
  CHECK_THROWS_WITH(Muon({.weight_decay = -1.0}), ContainsSubstring("MuonOptions::weight_decay"));
  CHECK_THROWS_WITH(Muon({.clip = 0.0}), ContainsSubstring("MuonOptions::clip"));
  CHECK_NOTHROW(Muon({.clip = infinity}));
  CHECK(describe(MuonOptions()) ==
        "Muon, Nesterov momentum 0.95, update RMS 0.2; AdamW, beta1 0.9, beta2 0.95, epsilon 1e-08, weight "
        "decay 0.1, clip 1");
  CHECK(describe(MuonOptions{.nesterov = false}).starts_with("Muon, momentum 0.95"));

  Problem<float> problem;
  CHECK_THROWS_WITH(problem.step(AdamW(), random_values<float>(1), 0.1, {{0, 100, true, 9, 11}}),
                    "optimizer step: range 0 .. 100 is no matrix of 9 x 11");
}
