/// Matrix products with weights: y = x · wᵀ, the weight's gradient, and the same over groups of rows (experts). The
/// gradient of x is `linear` too, with w packed the other way round.
///
/// legend   T rows · in, out widths of the weight · E groups
/// types    W is the type in which products take their operands: that of packed weights; others are rounded to it
/// cost     2·T·in·out FLOP each; no allocation once scratch has grown
#pragma once

#include "aeth/backend/types.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"
#include "aeth/ops/require.hpp"

namespace aeth::ops {

/// y [T,out] (+)= x [T,in] · wᵀ; `packed` is the backend's own form of w [out,in].
template <class B, class X, class W, class Y>
void linear(B& backend, MatrixView<X> x, W const* packed, MatrixView<Y> y, Write write = Write::overwrite) {
  expect<ShapeError>(x.rows == y.rows, "linear: x has ", x.rows, " rows, y has ", y.rows);
  require_packed(packed);
  backend.linear(as_const(x), packed, y, write);
}

/// One product per head h: y's `out` columns from h · y_step = x's `in` columns from h · x_step times the h-th of
/// equal weights, packed `stride` elements apart. y's other columns keep what they hold.
template <class B, class X, class W, class Y>
void linear_per_head(B& backend, Index heads, MatrixView<X> x, Index x_step, Index in, W const* packed,
                     Index stride, Index out, MatrixView<Y> y, Index y_step) {
  expect<ShapeError>(x.rows == y.rows && in <= x_step && out <= y_step && heads * x_step <= x.cols &&
                         heads * y_step <= y.cols,
                     "linear_per_head: ", heads, " heads of ", in, " in ", x_step, " and ", out, " in ",
                     y_step, " columns, x is [", x.rows, ",", x.cols, "], y is [", y.rows, ",", y.cols, "]");
  require_packed(packed);
  backend.linear_per_head(heads, as_const(x), x_step, in, packed, stride, out, y, y_step);
}

/// dw [out,in] += dyᵀ · x, rows in order, continuing the sum that dw holds.
template <class W, class B, class DY, class X, class T>
void linear_weight_grad(B& backend, MatrixView<DY> dy, MatrixView<X> x, MatrixView<T> dw) {
  expect<ShapeError>(dy.rows == x.rows && dw.rows == dy.cols && dw.cols == x.cols,
                     "linear_weight_grad: dy is [", dy.rows, ",", dy.cols, "], x is [", x.rows, ",", x.cols,
                     "], dw is [", dw.rows, ",", dw.cols, "]");
  require_gradient(dw.data);
  backend.template linear_weight_grad<W>(as_const(dy), as_const(x), dw);
}

/// Both products where rows first[e] .. first[e+1] of x and y belong to weight e. Weights lie `stride`
/// elements apart; an empty group costs nothing and leaves its gradient untouched. `first` ascends from 0.
template <class B, class X, class W, class Y>
void grouped_linear(B& backend, MatrixView<X> x, W const* packed, Index stride, VectorView<Index const> first,
                    MatrixView<Y> y) {
  expect<ShapeError>(first.size > 0 && x.rows == y.rows && first[first.size - 1] == x.rows,
                     "grouped_linear: x has ", x.rows, " rows, y has ", y.rows, ", the groups hold ",
                     first.size > 0 ? first[first.size - 1] : 0);
  require_packed(packed);
  backend.grouped_linear(as_const(x), packed, stride, first.data, first.size - 1, y);
}

template <class W, class B, class DY, class X, class T>
void grouped_linear_weight_grad(B& backend, MatrixView<DY> dy, MatrixView<X> x, MatrixView<T> dw0,
                                Index stride, VectorView<Index const> first) {
  expect<ShapeError>(first.size > 0 && first[first.size - 1] == x.rows && dy.rows == x.rows &&
                         dw0.rows == dy.cols && dw0.cols == x.cols,
                     "grouped_linear_weight_grad: dy is [", dy.rows, ",", dy.cols, "], x is [", x.rows, ",",
                     x.cols, "], dw is [", dw0.rows, ",", dw0.cols,
                     "]; or the groups do not hold these rows");
  require_gradient(dw0.data);
  backend.template grouped_linear_weight_grad<W>(as_const(dy), as_const(x), dw0, stride, first.data,
                                                 first.size - 1);
}

}  // namespace aeth::ops
