/// Row-wise operations of the CPU backend: cut over rows, or over columns where a sum runs over rows.
#pragma once

#include "aeth/backend/cpu/cpu.hpp"

namespace aeth {

namespace cpu {
inline constexpr Index rows_per_task = 16;
inline constexpr Index columns_per_task = 64;

/// body(first, last) over chunks of a range.
template <class Body>
void parallel_chunks(Cpu& cpu, Index size, Index chunk, Body const& body) {
  cpu.parallel(ceil_div(size, chunk), [&](Index i, int) { body(i * chunk, min(size, (i + 1) * chunk)); });
}

/// body(row) for each row, so many to a task that threads seldom meet, few enough that all have some.
template <class Body>
void parallel_rows(Cpu& cpu, Index rows, Body const& body) {
  Index const chunk = min(ceil_div(rows, Index{4} * cpu.threads()), rows_per_task);
  parallel_chunks(cpu, rows, max(chunk, Index{1}), [&](Index first, Index last) {
    for (Index t = first; t < last; ++t) body(t);
  });
}
}  // namespace cpu

template <class X, class Y, class T>
void Cpu::rms_norm(MatrixView<X const> x, T const* gain, T eps, MatrixView<Y> y, T* inverse) {
  cpu::parallel_chunks(*this, x.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      inverse[t] = AETH_CPU_KERNEL(level_, T, rms_norm, y.row(t), x.row(t), gain, x.cols, eps);
  });
}

template <class DY, class X, class DX, class T>
void Cpu::rms_norm_backward(MatrixView<DY const> dy, MatrixView<X const> x, T const* gain, T const* inverse,
                            MatrixView<DX> dx, T* d_gain, Write write) {
  cpu::parallel_chunks(*this, x.cols, cpu::columns_per_task, [&](Index first, Index last) {
    AETH_CPU_KERNEL(level_, T, rms_norm_gain, d_gain + first, dy.data + first, dy.stride, x.data + first,
                    x.stride, inverse, x.rows, last - first);
  });
  cpu::parallel_chunks(*this, x.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      AETH_CPU_KERNEL(level_, T, rms_norm_backward, dx.row(t), dy.row(t), x.row(t), gain, inverse[t], x.cols,
                      write == Write::accumulate);
  });
}

template <class X, class T>
void Cpu::rotate(MatrixView<X> x, Index heads, Index rope_dim, std::int32_t const* positions, T const* cosine,
                 T const* sine, int direction) {
  Index const head_dim = x.cols / heads;
  cpu::parallel_chunks(*this, x.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      for (Index h = 0; h < heads; ++h) {
        X* const pairs = x.row(t) + (h + 1) * head_dim - rope_dim;
        Index const table = positions[t] * rope_dim;
        AETH_CPU_KERNEL(level_, T, rotate, pairs, pairs, cosine + table, sine + table,
                        static_cast<T>(direction), rope_dim);
      }
  });
}

template <class X, class Y>
void Cpu::swiglu(MatrixView<X const> gate_up, MatrixView<Y> y) {
  using T = std::conditional_t<std::is_same_v<X, double>, double, float>;
  cpu::parallel_chunks(*this, y.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      AETH_CPU_KERNEL(level_, T, swiglu, y.row(t), gate_up.row(t), gate_up.row(t) + y.cols, y.cols);
  });
}

template <class DY, class X, class D>
void Cpu::swiglu_backward(MatrixView<DY const> dy, MatrixView<X const> gate_up, MatrixView<D> d_gate_up) {
  using T = std::conditional_t<std::is_same_v<X, double>, double, float>;
  cpu::parallel_chunks(*this, dy.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      AETH_CPU_KERNEL(level_, T, swiglu_backward, d_gate_up.row(t), d_gate_up.row(t) + dy.cols, dy.row(t),
                      gate_up.row(t), gate_up.row(t) + dy.cols, dy.cols);
  });
}

template <class X, class T>
void Cpu::add(MatrixView<X const> x, MatrixView<T> y) {
  cpu::parallel_chunks(*this, x.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t) AETH_CPU_KERNEL(level_, T, add, y.row(t), x.row(t), x.cols);
  });
}

template <class T>
void Cpu::embed(MatrixView<T const> table, std::int32_t const* tokens, MatrixView<T> y) {
  cpu::parallel_chunks(*this, y.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      for (Index j = 0; j < y.cols; ++j) y(t, j) = tokens[t] < 0 ? T(0) : table(tokens[t], j);
  });
}

template <class T>
void Cpu::embed_backward(MatrixView<T const> dy, std::int32_t const* tokens, MatrixView<T> d_table) {
  cpu::parallel_chunks(*this, dy.cols, cpu::columns_per_task, [&](Index first, Index last) {
    for (Index t = 0; t < dy.rows; ++t)
      if (tokens[t] >= 0)
        AETH_CPU_KERNEL(level_, T, add, d_table.row(tokens[t]) + first, dy.row(t) + first, last - first);
  });
}

}  // namespace aeth
