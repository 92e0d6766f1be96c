/// Root-mean-square normalisation of rows.
///
/// source   Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4
#pragma once

#include "aeth/backend/types.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"
#include "aeth/ops/require.hpp"

namespace aeth::ops {

/// y [T,D] = x · gain [D] / sqrt(mean(x²) + eps); inverse [T] = 1 / sqrt(mean(x²) + eps).
template <class B, class X, class T, class Y>
void rms_norm(B& backend, MatrixView<X> x, T const* gain, T eps, MatrixView<Y> y, T* inverse) {
  expect<ShapeError>(x.rows == y.rows && x.cols == y.cols, "rms_norm: x is [", x.rows, ",", x.cols,
                     "], y is [", y.rows, ",", y.cols, "]");
  backend.rms_norm(as_const(x), gain, eps, y, inverse);
}

/// dx (+)= inverse · (dy·gain − x · inverse² · mean(dy·gain·x)); d_gain [D] += Σ_t dy · x · inverse, rows in
/// order.
template <class B, class DY, class X, class T, class DX>
void rms_norm_backward(B& backend, MatrixView<DY> dy, MatrixView<X> x, T const* gain, T const* inverse,
                       MatrixView<DX> dx, T* d_gain, Write write) {
  expect<ShapeError>(dy.rows == x.rows && dy.cols == x.cols && dx.rows == x.rows && dx.cols == x.cols,
                     "rms_norm_backward: dy is [", dy.rows, ",", dy.cols, "], x is [", x.rows, ",", x.cols,
                     "], dx is [", dx.rows, ",", dx.cols, "]");
  require_gradient(d_gain);
  backend.rms_norm_backward(as_const(dy), as_const(x), gain, inverse, dx, d_gain, write);
}

}  // namespace aeth::ops
