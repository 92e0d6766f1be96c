/// Matrices that own their numbers, random or not, and comparisons of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/core/view.hpp"

namespace aeth::test {

/// A row-major matrix; converts to the views that operations take.
template <class T>
struct Tensor {
  Index rows = 0, cols = 0;
  std::vector<T> values;

  Tensor() = default;
  Tensor(Index row_count, Index col_count, T value = T{})
      : rows(row_count), cols(col_count), values(to_size(row_count * col_count), value) {}

  [[nodiscard]] T* data() { return values.data(); }
  [[nodiscard]] MatrixView<T> view() { return {values.data(), rows, cols}; }
  [[nodiscard]] MatrixView<T const> view() const { return {values.data(), rows, cols}; }
  [[nodiscard]] MatrixView<T const> cview() const { return view(); }
  [[nodiscard]] VectorView<T> flat() { return {values.data(), rows * cols}; }
  T& operator()(Index i, Index j) { return values[to_size(i * cols + j)]; }
};

/// Normal numbers of standard deviation `scale` around `mean`; `stream` tells tensors apart.
template <class T>
Tensor<T> random_tensor(Index rows, Index cols, std::uint64_t stream, double scale = 1.0, double mean = 0.0) {
  Random random(20, RandomUse::test, stream);
  Tensor<T> x(rows, cols);
  for (T& v : x.values) v = static_cast<T>(mean + scale * random.normal());
  return x;
}

/// Whole numbers in [low, high).
inline std::vector<std::int32_t> random_integers(Index count, std::uint64_t stream, std::int32_t low,
                                                 std::int32_t high) {
  Random random(21, RandomUse::test, stream);
  std::vector<std::int32_t> x(to_size(count));
  for (auto& v : x) v = low + static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(high - low)));
  return x;
}

template <class T>
bool same_bits(std::vector<T> const& a, std::vector<T> const& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
double largest_magnitude(std::vector<T> const& x) {
  double largest = 0;
  for (T const v : x) largest = std::max(largest, std::fabs(static_cast<double>(v)));
  return largest;
}

/// Largest |a − b| over the largest |b|; infinite when anything is not finite.
template <class A, class B>
double relative_difference(std::vector<A> const& a, std::vector<B> const& b) {
  double difference = a.size() == b.size() ? 0.0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    double const d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    difference = std::isfinite(d) ? std::max(difference, d) : std::numeric_limits<double>::infinity();
  }
  double const largest = largest_magnitude(b);
  return largest > 0 ? difference / largest : difference;
}

}  // namespace aeth::test
