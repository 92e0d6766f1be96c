/// Derivatives by finite differences, in double, to hold backward passes against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/core/view.hpp"
#include "support/catch.hpp"

namespace aeth::test {

/// Central difference with one step of Richardson: the error falls with step⁴, about 1e-15, while rounding
/// costs about 1e-16 / step = 1e-12 of the loss. The step is an absolute one: all tensors here are of
/// order 1.
inline constexpr double difference_step = 2e-4;

/// What the analytic derivative may differ by, relative to the largest of its tensor.
inline constexpr double gradient_bound = 1e-6;

template <class Loss>
double derivative(double& x, Loss const& loss, double step = difference_step) {
  double const at = x;
  auto const central = [&](double h) {
    x = at + h;
    double const above = loss();
    x = at - h;
    double const below = loss();
    x = at;
    return (above - below) / (2.0 * h);
  };
  return (4.0 * central(step / 2.0) - central(step)) / 3.0;
}

/// max over elements of |analytic − numeric| / max(|numeric|, largest |analytic| of the tensor). Where the
/// derivative is 0, the difference may still be what the loss is rounded by over the step. Of a tensor with
/// more than `samples` elements, the first, the last and random ones are looked at.
template <class Loss>
double gradient_error(VectorView<double> x, std::vector<double> const& analytic, Loss const& loss,
                      Index samples = 24) {
  if (static_cast<Index>(analytic.size()) != x.size) return std::numeric_limits<double>::infinity();
  double const rounding = 8.0 * std::numeric_limits<double>::epsilon() * std::fabs(loss()) / difference_step;
  double largest = rounding / gradient_bound;
  for (double const g : analytic) largest = std::max(largest, std::fabs(g));
  std::vector<Index> chosen;
  Random random(22, RandomUse::test, static_cast<std::uint64_t>(x.size));
  for (Index i = 0; i < std::min(x.size, samples); ++i)
    chosen.push_back(x.size <= samples ? i
                     : i == 0          ? 0
                     : i == 1          ? x.size - 1
                              : static_cast<Index>(random.below(static_cast<std::uint64_t>(x.size))));
  double worst = 0;
  for (Index const i : chosen) {
    double const numeric = derivative(x[i], loss), given = analytic[to_size(i)];
    double const scale = std::max({std::fabs(numeric), largest, 1e-30});
    double const error = std::fabs(given - numeric) / scale;
    worst = std::isfinite(error) ? std::max(worst, error) : std::numeric_limits<double>::infinity();
  }
  return worst;
}

/// Checks one tensor and keeps the worst error of all, printed when the report goes out of scope and
/// AETH_TEST_VERBOSE is set.
class GradientReport {
 public:
  explicit GradientReport(std::string what) : what_(std::move(what)) {}
  ~GradientReport() {
    if (std::getenv("AETH_TEST_VERBOSE"))
      std::fprintf(stderr, "%-40s worst %.2e at %s, %d tensors\n", what_.c_str(), worst_, where_.c_str(),
                   tensors_);
  }
  GradientReport(GradientReport const&) = delete;
  GradientReport& operator=(GradientReport const&) = delete;

  template <class Loss>
  void check(std::string const& tensor, VectorView<double> x, std::vector<double> const& analytic,
             Loss const& loss, Index samples = 24) {
    INFO(what_ << ": " << tensor);
    double const error = gradient_error(x, analytic, loss, samples);
    CHECK(error < gradient_bound);
    ++tensors_;
    if (!(error < worst_)) {
      worst_ = error;
      where_ = tensor;
    }
  }

 private:
  std::string what_, where_;
  double worst_ = 0;
  int tensors_ = 0;
};

}  // namespace aeth::test
