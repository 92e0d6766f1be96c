/// The last numbers of a series, and their mean.
#pragma once

#include <cmath>
#include <vector>

#include "aeth/core/math.hpp"

namespace aeth::train::detail {

class Window {
 public:
  explicit Window(Index size) : size_(size) {}

  void add(double x) {
    if (!is_full())
      values_.push_back(x);
    else
      values_[to_size(next_)] = x;
    next_ = (next_ + 1) % size_;
  }
  [[nodiscard]] bool is_full() const { return static_cast<Index>(values_.size()) == size_; }
  [[nodiscard]] std::vector<double> const& values() const { return values_; }
  /// In the order of the ring, so that equal states give equal bits; NaN of no number.
  [[nodiscard]] double mean() const {
    double sum = 0.0;
    for (double const x : values_) sum += x;
    return sum / static_cast<double>(values_.size());
  }

  template <class Visit>
  void for_each_number(Visit&& visit) {
    visit(values_);
    visit(next_);
  }
  /// Whether numbers that were read can be those of a window of this size: one that was full with another cannot.
  [[nodiscard]] bool is_sound() const {
    Index const count = static_cast<Index>(values_.size());
    return count < size_ ? next_ == count : count == size_ && next_ >= 0 && next_ < size_;
  }

 private:
  Index size_;
  std::vector<double> values_;  // a ring once it is full
  Index next_ = 0;
};

}  // namespace aeth::train::detail
