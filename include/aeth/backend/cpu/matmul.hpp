/// Matrix products of the CPU backend: how work is cut into tiles. The arithmetic is in
/// detail/kernels_matmul.hpp.
#pragma once

#include "aeth/backend/cpu/cpu.hpp"

namespace aeth {

namespace cpu {
inline constexpr Index panel_columns = 64;  ///< columns of a packed panel; the last one may be narrower
inline constexpr Index tile_rows = 252;     ///< rows of a task: a multiple of the register tile's six
inline constexpr Index weight_grad_elements = Index{1} << 18;  ///< of dy and x that a block should hold
inline constexpr Index weight_grad_rows = 256;                 ///< least rows of a block
}  // namespace cpu

template <class T>
void Cpu::matmul(MatmulJob<T> const* jobs, Index count, Write write) {
  ArenaScope const scope(scratch_);
  Index* const first_tile = scratch_.take<Index>(count + 1);
  first_tile[0] = 0;
  for (Index j = 0; j < count; ++j)
    first_tile[j + 1] = first_tile[j] + ceil_div(jobs[j].rows, cpu::tile_rows) *
                                            ceil_div(jobs[j].columns, cpu::panel_columns);
  bool const accumulate = write == Write::accumulate;
  parallel(first_tile[count], [&](Index tile, int) {
    Index low = 0;
    for (Index high = count; high - low > 1;) {
      Index const middle = (low + high) / 2;
      (first_tile[middle] <= tile ? low : high) = middle;
    }
    MatmulJob<T> const& job = jobs[low];
    Index const row_tiles = ceil_div(job.rows, cpu::tile_rows);
    Index const panel = (tile - first_tile[low]) / row_tiles,
                row = (tile - first_tile[low]) % row_tiles * cpu::tile_rows;
    Index const column = panel * cpu::panel_columns;
    Index const columns = min(cpu::panel_columns, job.columns - column);
    bool const packed = job.b_row == 0;
    T const* const b = job.b + (packed ? column * job.depth : column);
    Index const b_row =
        packed ? min(cpu::panel_columns, round_up(job.columns - column, Index{16})) : job.b_row;
    AETH_CPU_KERNEL(level_, T, matmul, min(cpu::tile_rows, job.rows - row), columns, job.depth,
                    job.a + row * job.a_row, job.a_row, job.a_k, b, b_row, job.c + row * job.c_row + column,
                    job.c_row, accumulate);
  });
}

template <class T>
void Cpu::pack_weights(MatrixView<T const> w, T* packed) {
  parallel(ceil_div(w.rows, cpu::panel_columns), [&](Index panel, int) {
    Index const first = panel * cpu::panel_columns;
    Index const used = min(cpu::panel_columns, w.rows - first);
    Index const width = min(cpu::panel_columns, round_up(used, Index{16}));
    T* const to = packed + first * w.cols;
    // Sixteen rows of w at a time: reads stay in cache lines already touched, and writes are whole ones.
    for (Index j0 = 0; j0 < width; j0 += 16)
      for (Index k = 0; k < w.cols; ++k)
        for (Index j = j0; j < j0 + 16; ++j) to[k * width + j] = j < used ? w(first + j, k) : T(0);
  });
}

template <class T, class X>
MatrixView<T const> Cpu::widened(MatrixView<X const> x) {
  if constexpr (std::is_same_v<T, X>) {
    return x;
  } else {
    MatrixView<T> const wide = scratch_.matrix<T>(x.rows, x.cols);
    parallel(x.rows, [&](Index t, int) {
      for (Index j = 0; j < x.cols; ++j) wide(t, j) = static_cast<T>(x(t, j));
    });
    return wide;
  }
}

template <class T, class Y, class Body>
void Cpu::through(MatrixView<Y> y, Write write, Body const& body) {
  if constexpr (std::is_same_v<T, Y>) {
    body(y);
  } else {
    MatrixView<T> const wide = scratch_.matrix<T>(y.rows, y.cols);
    if (write == Write::accumulate)
      parallel(y.rows, [&](Index t, int) {
        for (Index j = 0; j < y.cols; ++j) wide(t, j) = static_cast<T>(y(t, j));
      });
    body(wide);
    parallel(y.rows, [&](Index t, int) {
      for (Index j = 0; j < y.cols; ++j) y(t, j) = Y(wide(t, j));
    });
  }
}

template <class X, class Y, class T>
void Cpu::linear(MatrixView<X const> x, T const* packed, MatrixView<Y> y, Write write) {
  ArenaScope const scope(scratch_);
  auto const left = widened<T>(x);
  through<T>(y, write, [&](MatrixView<T> out) {
    MatmulJob<T> const job{out.rows, out.cols, x.cols, left.data, left.stride,
                           1,        packed,   0,      out.data,  out.stride};
    matmul(&job, 1, write);
  });
}

template <class DY, class DX, class T>
void Cpu::linear_input_grad(MatrixView<DY const> dy, MatrixView<T const> w, MatrixView<DX> dx, Write write) {
  ArenaScope const scope(scratch_);
  auto const left = widened<T>(dy);
  through<T>(dx, write, [&](MatrixView<T> out) {
    MatmulJob<T> const job{out.rows, out.cols, w.rows,   left.data, left.stride,
                           1,        w.data,   w.stride, out.data,  out.stride};
    matmul(&job, 1, write);
  });
}

template <class DY, class X, class T>
void Cpu::linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw) {
  ArenaScope const scope(scratch_);
  auto const left = widened<T>(dy);
  auto const right = widened<T>(x);
  // In blocks of rows that the second cache level holds: every tile of dw reads all of a block. Each sum
  // continues where the block before left it, so this changes no bit.
  Index const block = max(cpu::weight_grad_elements / (dw.rows + dw.cols), cpu::weight_grad_rows);
  for (Index t = 0; t < dy.rows; t += block) {
    MatmulJob<T> const job{
        dw.rows, dw.cols,  min(block, dy.rows - t), left.row(t), 1, left.stride, right.row(t), right.stride,
        dw.data, dw.stride};
    matmul(&job, 1, Write::accumulate);
  }
}

template <class X, class Y, class T>
void Cpu::grouped_linear(MatrixView<X const> x, T const* packed, Index packed_stride, Index const* first,
                         Index groups, MatrixView<Y> y) {
  ArenaScope const scope(scratch_);
  auto const left = widened<T>(x);
  through<T>(y, Write::overwrite, [&](MatrixView<T> out) {
    auto* const jobs = scratch_.take<MatmulJob<T>>(groups);
    for (Index e = 0; e < groups; ++e)
      jobs[e] = {first[e + 1] - first[e],
                 out.cols,
                 x.cols,
                 left.row(first[e]),
                 left.stride,
                 1,
                 packed + e * packed_stride,
                 0,
                 out.row(first[e]),
                 out.stride};
    matmul(jobs, groups, Write::overwrite);
  });
}

template <class DY, class DX, class T>
void Cpu::grouped_linear_input_grad(MatrixView<DY const> dy, MatrixView<T const> w0, Index weight_stride,
                                    Index const* first, Index groups, MatrixView<DX> dx) {
  ArenaScope const scope(scratch_);
  auto const left = widened<T>(dy);
  through<T>(dx, Write::overwrite, [&](MatrixView<T> out) {
    auto* const jobs = scratch_.take<MatmulJob<T>>(groups);
    for (Index e = 0; e < groups; ++e)
      jobs[e] = {
          first[e + 1] - first[e],     out.cols,  w0.rows,           left.row(first[e]), left.stride, 1,
          w0.data + e * weight_stride, w0.stride, out.row(first[e]), out.stride};
    matmul(jobs, groups, Write::overwrite);
  });
}

template <class DY, class X, class T>
void Cpu::grouped_linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw0,
                                     Index weight_stride, Index const* first, Index groups) {
  ArenaScope const scope(scratch_);
  auto const left = widened<T>(dy);
  auto const right = widened<T>(x);
  auto* const jobs = scratch_.take<MatmulJob<T>>(groups);
  for (Index e = 0; e < groups; ++e)
    jobs[e] = {dw0.rows,
               dw0.cols,
               first[e + 1] - first[e],
               left.row(first[e]),
               1,
               left.stride,
               right.row(first[e]),
               right.stride,
               dw0.data + e * weight_stride,
               dw0.stride};
  matmul(jobs, groups, Write::accumulate);
}

}  // namespace aeth
