/// Matrix products of the CPU backend: how work is cut into tiles. The arithmetic is in
/// detail/kernels_matmul.hpp.
#pragma once

#include "aeth/backend/cpu/cpu.hpp"

namespace aeth {

namespace cpu {
inline constexpr Index task_panels = 8;  ///< most panels of a task that copies columns of A

/// How a product is cut. Nothing of it changes a bit.
struct MatmulTasks {
  Index rows, columns, row_tiles, column_tiles;

  template <class T>
  MatmulTasks(MatmulJob<T> const& job, Index threads)
      : rows(even(job.rows, matmul_rows, 6)),
        columns(matmul_panel),
        row_tiles(ceil_div(job.rows, max(rows, Index{1}))) {
    // Columns of A are copied once per task, so many columns of C should use them, as long as all threads have work.
    if (job.a_row == 1 && job.b_row != 0)
      while (columns < task_panels * matmul_panel &&
             row_tiles * ceil_div(job.columns, 2 * columns) >= 4 * threads)
        columns *= 2;
    column_tiles = ceil_div(job.columns, columns);
  }
  [[nodiscard]] Index count() const { return row_tiles * column_tiles; }

 private:
  /// Size of as few equal parts as need be, a multiple of `unit`.
  static Index even(Index size, Index most, Index unit) {
    Index const parts = max(ceil_div(size, most), Index{1});
    return min(most, round_up(ceil_div(size, parts), unit));
  }
};
}  // namespace cpu

template <class T>
void Cpu::matmul(MatmulJob<T> const* jobs, Index count, Write write) {
  ArenaScope const scope(scratch_);
  Index* const first_task = scratch_.take<Index>(count + 1);
  first_task[0] = 0;
  for (Index j = 0; j < count; ++j)
    first_task[j + 1] = first_task[j] + cpu::MatmulTasks(jobs[j], threads()).count();
  for (Arena& arena : thread_scratch_) arena.reserve(cpu::matmul_scratch * static_cast<Index>(sizeof(T)));
  bool const accumulate = write == Write::accumulate;
  parallel(first_task[count], [&](Index task, int thread) {
    Index low = 0;
    for (Index high = count; high - low > 1;) {
      Index const middle = (low + high) / 2;
      (first_task[middle] <= task ? low : high) = middle;
    }
    MatmulJob<T> const& job = jobs[low];
    cpu::MatmulTasks const tasks(job, threads());
    Index const row = (task - first_task[low]) % tasks.row_tiles * tasks.rows,
                column = (task - first_task[low]) / tasks.row_tiles * tasks.columns;
    bool const packed = job.b_row == 0;
    T const* const b = job.b + (packed ? column * job.depth : column);
    Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
    ArenaScope const task_scope(arena);
    Index const columns = min(tasks.columns, job.columns - column);
    AETH_CPU_KERNEL(level_, T, matmul, min(tasks.rows, job.rows - row), columns, job.depth,
                    job.a + row * job.a_row, job.a_row, job.a_k, b,
                    packed ? round_up(columns, Index{16}) : job.b_row, packed ? Index{0} : cpu::matmul_panel,
                    job.c + row * job.c_row + column, job.c_row, accumulate,
                    arena.take<T>(cpu::matmul_scratch));
  });
}

template <class T>
void Cpu::pack_weights(MatrixView<T const> w, T* packed) {
  parallel(ceil_div(w.rows, cpu::matmul_panel), [&](Index panel, int) {
    Index const first = panel * cpu::matmul_panel;
    Index const used = min(cpu::matmul_panel, w.rows - first);
    AETH_CPU_KERNEL(level_, T, transpose, packed + first * w.cols, round_up(used, Index{16}), w.row(first),
                    w.stride, used, w.cols);
  });
}

template <class T, class X>
MatrixView<T const> Cpu::widened(MatrixView<X const> x) {
  if constexpr (std::is_same_v<T, X>) {
    return x;
  } else {
    MatrixView<T> const wide = scratch_.matrix<T>(x.rows, x.cols);
    parallel(x.rows, [&](Index t, int) {
      AETH_CPU_KERNEL(level_, T, copy_rows, wide.row(t), Index{0}, x.row(t), Index{0}, Index{1}, x.cols);
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
        AETH_CPU_KERNEL(level_, T, copy_rows, wide.row(t), Index{0}, y.row(t), Index{0}, Index{1}, y.cols);
      });
    body(wide);
    parallel(y.rows, [&](Index t, int) {
      AETH_CPU_KERNEL(level_, T, copy_rows, y.row(t), Index{0}, wide.row(t), Index{0}, Index{1}, y.cols);
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
  MatmulJob<T> const job{dw.rows,     dw.cols,    dy.rows,      left.data, 1,
                         left.stride, right.data, right.stride, dw.data,   dw.stride};
  matmul(&job, 1, Write::accumulate);
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
