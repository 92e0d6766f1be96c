/// Finds numbers that jump out of their recent past, such as a loss or a gradient norm.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/train/detail/window.hpp"

namespace aeth::train {

struct SpikeOptions {
  Index window = 64;        ///< how many of the last numbers are the past
  Index warmup = 20;        ///< nothing is a spike before so many; at most `window`
  double deviations = 8.0;  ///< how far above the median, in robust standard deviations
  double least = 0.5;       ///< and at least by so much, in the unit of the numbers
};

/// errors   UsageError that names the field; `owner` says whose options they are
inline void validate(SpikeOptions const& o, char const* owner) {
  expect<UsageError>(o.window >= 4 && o.warmup >= 4 && o.warmup <= o.window, owner, ": window is ", o.window,
                     " and warmup is ", o.warmup, "; both must be at least 4, warmup at most window");
  expect<UsageError>(o.deviations > 0.0 && o.least > 0.0, owner, ": deviations is ", o.deviations,
                     " and least is ", o.least, "; both must be positive");
}

/// Middle of the numbers, the lower one of two; NaN of none.
[[nodiscard]] inline double median(std::vector<double> numbers) {
  if (numbers.empty()) return std::nan("");
  auto const middle = numbers.begin() + static_cast<std::ptrdiff_t>((numbers.size() - 1) / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

/// Compares each number with median and median absolute deviation of a sliding window: unlike mean and variance, they do
/// not move when a spike is among them, until half the window is of the new level.
///
/// cost     linear in the window
class SpikeDetector {
 public:
  explicit SpikeDetector(SpikeOptions const& options = {}) : options_(options), past_(options.window) {}

  /// Where a spike begins; infinite during warm-up.
  [[nodiscard]] double limit() const {
    if (static_cast<Index>(past_.values().size()) < options_.warmup) return HUGE_VAL;
    double const middle = median(past_.values());
    std::vector<double> distances(past_.values());
    for (double& x : distances) x = std::fabs(x - middle);
    constexpr double normal = 1.4826;  // median absolute deviation to standard deviation, if they are normal
    return middle + max(options_.least, options_.deviations * normal * median(std::move(distances)));
  }
  [[nodiscard]] double middle() const { return median(past_.values()); }

  /// A finite number that belongs to the past from now on.
  void add(double x) { past_.add(x); }

  template <class Visit>
  void for_each_number(Visit&& visit) {
    past_.for_each_number(visit);
  }
  /// Whether the numbers that were read can be those of this detector.
  [[nodiscard]] bool is_sound() const { return past_.is_sound(); }

 private:
  SpikeOptions options_;
  detail::Window past_;
};

}  // namespace aeth::train
