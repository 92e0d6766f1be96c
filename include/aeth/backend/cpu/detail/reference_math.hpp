/// What the operations of `CpuReference` share: conversion to double and back, softmax, the rows of one head.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "aeth/backend/types.hpp"
#include "aeth/core/view.hpp"
#include "aeth/numeric/bf16.hpp"

namespace aeth::detail {

/// A base class, so that these short names stay out of the namespace.
struct ReferenceMath {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  template <class X>
  static double wide(X x) {
    if constexpr (std::is_same_v<X, bf16>)
      return static_cast<double>(static_cast<float>(x));
    else
      return static_cast<double>(x);
  }
  template <class X>
  static Matrix wide(MatrixView<X> x) {
    Matrix m(x.rows, x.cols);
    for (Index i = 0; i < x.rows; ++i)
      for (Index j = 0; j < x.cols; ++j) m(i, j) = wide(x(i, j));
    return m;
  }
  /// As a product with operands of type W reads it.
  template <class W, class X>
  static Matrix operand(MatrixView<X> x) {
    Matrix m = wide(x);
    if constexpr (std::is_same_v<W, bf16>)
      for (double& value : m.reshaped()) value = wide(bf16(static_cast<float>(value)));
    return m;
  }
  template <class Y>
  static void put(double value, Y& y) {
    if constexpr (std::is_same_v<Y, bf16>)
      y = bf16(static_cast<float>(value));
    else
      y = static_cast<Y>(value);
  }
  template <class Y>
  static void put(Matrix const& m, MatrixView<Y> y, Write write) {
    for (Index i = 0; i < y.rows; ++i)
      for (Index j = 0; j < y.cols; ++j)
        put(m(i, j) + (write == Write::accumulate ? wide(y(i, j)) : 0.0), y(i, j));
  }
  template <class X>
  static MatrixView<X> group(MatrixView<X> x, Index const* first, Index e) {
    return x.row_slice(first[e], first[e + 1] - first[e]);
  }
  template <class X>
  static MatrixView<X> shifted(MatrixView<X> x, Index elements) {
    return {x.data + elements, x.rows, x.cols, x.stride};
  }
  static double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

  /// The positions of the `count` largest values, ascending; the lower of two equal ones first, NaN last.
  static std::vector<Index> best_of(std::vector<double> const& values, Index count) {
    std::vector<Index> order;
    for (Index i = 0; i < static_cast<Index>(values.size()); ++i) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
      double const x = values[to_size(a)], y = values[to_size(b)];
      return x > y || (x == x && y != y);
    });
    order.resize(to_size(count));
    std::sort(order.begin(), order.end());
    return order;
  }

  /// p = e^(scale · s − shift) / sum with shift the largest scale · s.
  struct Softmax {
    double shift, sum;
    Matrix p;
    Softmax(Matrix const& s, double scale)
        : shift(scale * s.maxCoeff()), p((scale * s.array() - shift).exp().matrix()) {
      sum = p.sum();
      p /= sum;
    }
  };

  /// Queries, keys and values of one head of one span.
  struct Head {
    Index past;
    Matrix q, k, v;
    template <class X>
    Head(AttentionShape shape, AttentionSpan const& span, Index h, MatrixView<X const> q_all,
         MatrixView<X const> kv, MatrixView<X const> k_pe)
        : past(span.keys - span.queries), k(span.keys, shape.qk_dim()) {
      Index const width = shape.nope_dim + shape.v_dim;
      auto const rows = kv.row_slice(span.key_begin, span.keys).col_slice(h * width, width);
      q = wide(q_all.row_slice(span.query_begin, span.queries).col_slice(h * shape.qk_dim(), shape.qk_dim()));
      k << wide(rows.col_slice(0, shape.nope_dim)), wide(k_pe.row_slice(span.key_begin, span.keys));
      v = wide(rows.col_slice(shape.nope_dim, shape.v_dim));
    }
    [[nodiscard]] Index seen(Index query) const { return past + query + 1; }
  };
};

}  // namespace aeth::detail
