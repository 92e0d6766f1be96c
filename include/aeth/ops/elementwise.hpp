/// Operations without a sum over the width: SwiGLU, rotation of adjacent pairs, addition of rows.
#pragma once

#include <cstdint>

#include "aeth/backend/types.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"

namespace aeth::ops {

/// y [T,F] = silu(gate) · up, silu(x) = x / (1 + e^−x); gate_up [T,2F] holds gate, then up.
///
/// source   Shazeer 2020, arXiv:2002.05202, §2
template <class B, class X, class Y>
void swiglu(B& backend, MatrixView<X> gate_up, MatrixView<Y> y) {
  expect<ShapeError>(gate_up.rows == y.rows && gate_up.cols == 2 * y.cols, "swiglu: gate_up is [",
                     gate_up.rows, ",", gate_up.cols, "], y is [", y.rows, ",", y.cols, "]");
  backend.swiglu(as_const(gate_up), y);
}

/// Overwrites d_gate_up [T,2F].
template <class B, class DY, class X, class D>
void swiglu_backward(B& backend, MatrixView<DY> dy, MatrixView<X> gate_up, MatrixView<D> d_gate_up) {
  expect<ShapeError>(gate_up.rows == dy.rows && gate_up.cols == 2 * dy.cols && d_gate_up.cols == gate_up.cols,
                     "swiglu_backward: dy is [", dy.rows, ",", dy.cols, "], gate_up is [", gate_up.rows, ",",
                     gate_up.cols, "]");
  backend.swiglu_backward(as_const(dy), as_const(gate_up), d_gate_up);
}

/// Tables that `rotate` reads: cosine and sine [positions, R] as `nn::RotaryTable` lays them out.
template <class T>
struct RotaryView {
  std::int32_t const* positions = nullptr;  ///< [T]
  T const* cosine = nullptr;
  T const* sine = nullptr;
};

enum class Direction { forward = 1, backward = -1 };

/// Rotates, in place, adjacent pairs of the last `rope_dim` columns of each of `heads` equal slices of x.
///
/// source   Su et al. 2021, arXiv:2104.09864, §3.2.2; adjacent pairs as in DeepSeek-V3's `apply_rotary_emb`
template <class B, class X, class T>
void rotate(B& backend, MatrixView<X> x, Index heads, Index rope_dim, RotaryView<T> const& rotary,
            Direction direction) {
  expect<ShapeError>(x.cols % heads == 0 && x.cols / heads >= rope_dim, "rotate: ", x.cols,
                     " columns do not hold ", heads, " heads with ", rope_dim, " rotary dimensions each");
  backend.rotate(x, heads, rope_dim, rotary.positions, rotary.cosine, rotary.sine,
                 static_cast<int>(direction));
}

/// y [T,D] += x [T,D]
template <class B, class X, class T>
void add(B& backend, MatrixView<X> x, MatrixView<T> y) {
  expect<ShapeError>(x.rows == y.rows && x.cols == y.cols, "add: x is [", x.rows, ",", x.cols, "], y is [",
                     y.rows, ",", y.cols, "]");
  backend.add(as_const(x), y);
}

}  // namespace aeth::ops
