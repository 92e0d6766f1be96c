/// Newton-Schulz iteration: from a matrix G = U·S·Vᵀ to about U·Vᵀ, by matrix products alone. The direction of Muon.
///
///   X ← G / (‖G‖ + ε),   five times  X ← a·X + (b·A + c·A²)·X  with A = X·Xᵀ
///
/// A singular value s becomes p(p(p(p(p(s))))) with p(s) = a·s + b·s³ + c·s⁵. The coefficients are chosen for p's slope at
/// 0, not for a limit of 1: values above 0.002 of the norm end between 0.68 and 1.14, smaller ones grow 3.4⁵ = 480 times.
///
/// source   Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al. 2025,
///          arXiv:2502.16982, §2.1
#pragma once

#include <cmath>
#include <concepts>
#include <utility>

#include "aeth/backend/concepts.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/view.hpp"

namespace aeth::optim {

/// p's coefficients, the number of its uses, and ε, which has the unit of G and keeps a zero matrix zero.
inline constexpr double newton_schulz_a = 3.4445, newton_schulz_b = -4.7750, newton_schulz_c = 2.0315;
inline constexpr int newton_schulz_steps = 5;
inline constexpr double newton_schulz_epsilon = 1e-7;

namespace detail {

/// to[i] = f(i) for i < size, on all threads.
template <HasParallel B, std::floating_point T, class F>
void fill(B& backend, T* to, Index size, F const& f) {
  constexpr Index piece = 16384;
  backend.parallel(ceil_div(size, piece), [&](Index task, int) {
    for (Index i = task * piece; i < min(size, (task + 1) * piece); ++i) to[i] = f(i);
  });
}

}  // namespace detail

/// Orthogonalizes a matrix in place. Both forms of a product, X·Xᵀ of a wide matrix and Xᵀ·X of a tall one, are products
/// that every backend has, so nothing is transposed.
///
/// shapes   x [rows, cols], without gaps between rows
/// types    T for all products; ‖G‖ in double
/// errors   ShapeError if rows of x have gaps
/// cost     with s = min(rows, cols), l = max(rows, cols): 5 · (4·s²·l + 2·s³) operations; room for at most
///          about 2·s·l + 2·s² numbers is taken from `scratch` and given back. The same bits on any number of threads.
///          The 351 matrices of presets::mini that are Muon's: 0.65 s on two cores of Intel Emerald Rapids, 60 GFLOP/s, beside a
///          step of 16 x 256 tokens in BF16 that takes 4.3 s with AdamW
template <HasParallel B, std::floating_point T>
void orthogonalize(B& backend, MatrixView<T> x, Arena& scratch) {
  expect<ShapeError>(x.stride == x.cols, "orthogonalize: rows of ", x.cols, " elements lie ", x.stride,
                     " apart; copy the matrix first");
  ArenaScope const scope(scratch);
  bool const tall = x.rows > x.cols;
  Index const size = x.rows * x.cols, side = min(x.rows, x.cols);
  MatrixView<T> from = x, to = scratch.matrix<T>(x.rows, x.cols);
  auto const gram = scratch.matrix<T>(side, side), polynomial = scratch.matrix<T>(side, side);
  T* const packed = scratch.take<T>(B::template packed_size<T>(side, tall ? side : x.cols));

  double const norm = std::sqrt(backend.sum_of_squares(x.data, size));
  double const scale = 1.0 / (norm + newton_schulz_epsilon);  // may be below the smallest T
  detail::fill(backend, x.data, size,
               [=](Index i) { return static_cast<T>(static_cast<double>(x.data[i]) * scale); });

  constexpr T a = T(newton_schulz_a), b = T(newton_schulz_b), c = T(newton_schulz_c);
  for (int step = 0; step < newton_schulz_steps; ++step) {
    if (tall) {
      detail::fill(backend, gram.data, side * side, [](Index) { return T(0); });
      backend.template linear_weight_grad<T>(as_const(from), as_const(from), gram);
    } else {
      backend.pack_weights(as_const(from), packed);
      backend.linear(as_const(from), static_cast<T const*>(packed), gram);
    }
    // Aᵀ·A is A² to the last bit: the sums of A(i,j) and A(j,i) have the same products in the same order.
    detail::fill(backend, polynomial.data, side * side, [](Index) { return T(0); });
    backend.template linear_weight_grad<T>(as_const(gram), as_const(gram), polynomial);
    detail::fill(backend, polynomial.data, side * side,
                 [=](Index i) { return std::fma(c, polynomial.data[i], b * gram.data[i]); });
    detail::fill(backend, to.data, size, [=](Index i) { return a * from.data[i]; });
    if (tall) {
      backend.pack_weights(as_const(polynomial), packed);
      backend.linear(as_const(from), static_cast<T const*>(packed), to, Write::accumulate);
    } else {
      backend.template linear_weight_grad<T>(as_const(polynomial), as_const(from), to);
    }
    std::swap(from, to);
  }
  if (from.data != x.data) detail::fill(backend, x.data, size, [=](Index i) { return from.data[i]; });
}

}  // namespace aeth::optim
