/// Matrix products of the CPU backend: how work is cut into tiles. The arithmetic is in
/// detail/kernels_matmul.hpp, that of FP8 operands in matmul_f8.hpp.
#pragma once

#include <type_traits>

#include "aeth/backend/cpu/cpu.hpp"
#include "aeth/backend/cpu/matmul_f8.hpp"
#include "aeth/backend/cpu/rows.hpp"

namespace aeth {

namespace cpu {
inline constexpr Index task_panels = 8;  ///< most panels of a task that copies columns of A

/// How a product is cut. Nothing of it changes a bit.
struct MatmulTasks {
  Index rows, columns, row_tiles, column_tiles;

  template <class X, class Y>
  MatmulTasks(MatmulJob<X, Y> const& job, Index jobs, Index threads)
      : rows(even(job.rows, matmul_rows, 6)),
        columns(matmul_panel),
        row_tiles(ceil_div(job.rows, max(rows, Index{1}))) {
    // Columns of A are copied once per task, so many columns of C should use them, as long as all threads have work.
    auto const busy = [&](Index tiles) { return tiles * jobs >= 4 * threads || tiles * jobs % threads == 0; };
    // A narrow C is rounded panel by panel.
    if (job.a.columns && job.b_row != 0 && sizeof(Y) >= sizeof(float))
      while (columns < min(task_panels * matmul_panel, job.columns) &&
             busy(row_tiles * ceil_div(job.columns, 2 * columns)))
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

/// Bytes of the largest packed panel if all jobs have few rows, 0 otherwise.
template <class X, class Y>
Index streamed_panel(MatmulJob<X, Y> const* jobs, Index count) {
  Index bytes = 1;
  for (Index j = 0; j < count; ++j) {
    if (jobs[j].b_row != 0 || jobs[j].rows >= matmul_ahead_rows) return 0;
    bytes = max(bytes, jobs[j].depth * matmul_panel * Index{sizeof(X)});
  }
  return bytes;
}
}  // namespace cpu

template <class X, class Y>
void Cpu::matmul(MatmulJob<X, Y> const* jobs, Index count, Write write) {
  using T = std::conditional_t<std::is_same_v<Y, double>, double, float>;
  ArenaScope const scope(scratch_);
  Index* const first_task = scratch_.take<Index>(count + 1);
  first_task[0] = 0;
  for (Index j = 0; j < count; ++j)
    first_task[j + 1] = first_task[j] + cpu::MatmulTasks(jobs[j], count, threads()).count();
  for (Arena& arena : thread_scratch_) arena.reserve(cpu::matmul_scratch * static_cast<Index>(sizeof(T)));
  bool const accumulate = write == Write::accumulate;
  struct Place {
    Index job, row, column;
  };
  auto const place = [&](Index task) {
    Index low = 0;
    for (Index high = count; high - low > 1;) {
      Index const middle = (low + high) / 2;
      (first_task[middle] <= task ? low : high) = middle;
    }
    cpu::MatmulTasks const tasks(jobs[low], count, threads());
    Index const at = task - first_task[low];
    return Place{low, at % tasks.row_tiles * tasks.rows, at / tasks.row_tiles * tasks.columns};
  };
  auto const packed_panel = [](MatmulJob<X, Y> const& job, Index column) {
    return job.b + column * round_up(job.depth, cpu::pair_of<X>);
  };
  Index const total = first_task[count],
              at_once = cpu::tasks_at_once(cpu::streamed_panel(jobs, count), total, threads());
  auto const run_task = [&](Index task, int thread) {
    auto const [j, row, column] = place(task);
    MatmulJob<X, Y> const& job = jobs[j];
    cpu::MatmulTasks const tasks(job, count, threads());
    bool const packed = job.b_row == 0;
    Index const columns = min(tasks.columns, job.columns - column);
    cpu::LeftMatrix<X> a = job.a;
    a.data += row * (a.columns ? Index{1} : a.stride);
    cpu::RightMatrix<X> b{job.b + column, job.b_row, cpu::matmul_panel};
    cpu::Ahead ahead;
    if (packed) {
      b = {packed_panel(job, column), round_up(columns, Index{16}), 0};
      // Threads advance together: what this one reads next is probably that many tasks further.
      if (tasks.rows >= cpu::matmul_ahead_rows && task + threads() < first_task[count]) {
        Place const next = place(task + threads());
        X const* const panel = packed_panel(jobs[next.job], next.column);
        Index const columns_there = min(cpu::matmul_panel, jobs[next.job].columns - next.column);
        if (panel != b.data)
          ahead = cpu::Ahead::of(
              panel, min(jobs[next.job].depth, cpu::matmul_k_block * cpu::pair_of<X>) * columns_there);
      }
    }
    Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
    ArenaScope const task_scope(arena);
    cpu::matmul(level_, min(tasks.rows, job.rows - row), columns, job.depth, a, b,
                job.c + row * job.c_row + column, job.c_row, accumulate, arena.take<T>(cpu::matmul_scratch),
                ahead);
  };
  parallel(ceil_div(total, at_once), [&](Index part, int thread) {
    for (Index task = part * at_once; task < min((part + 1) * at_once, total); ++task) run_task(task, thread);
  });
}

template <class W>
Index Cpu::packed_size(Index out, Index in) {
  if constexpr (std::is_same_v<W, e4m3>)
    return cpu::F8Layout{out, in}.size();
  else
    return round_up(out, Index{16}) * round_up(in, cpu::pair_of<W>);
}

template <class T, class W>
void Cpu::pack_weights(MatrixView<T const> w, W* packed) {
  parallel(ceil_div(w.rows, cpu::matmul_panel), [&](Index panel, int) {
    Index const first = panel * cpu::matmul_panel, used = min(cpu::matmul_panel, w.rows - first),
                width = round_up(used, Index{16});
    cpu::pack_columns<T>(level_, packed + first * round_up(w.cols, cpu::pair_of<W>), width, w.row(first),
                         w.stride, used, w.cols);
  });
}

template <class T, class W>
void Cpu::pack_transposed(MatrixView<T const> w, W* packed) {
  parallel(ceil_div(w.cols, cpu::matmul_panel), [&](Index panel, int) {
    Index const first = panel * cpu::matmul_panel, used = min(cpu::matmul_panel, w.cols - first);
    AETH_CPU_KERNEL(level_, T, copy_rows_of_panel, packed + first * round_up(w.rows, cpu::pair_of<W>),
                    round_up(used, Index{16}), w.data + first, w.stride, w.rows, used, false);
  });
}

template <class T, class X>
MatrixView<T const> Cpu::converted(MatrixView<X const> x) {
  if constexpr (std::is_same_v<T, X>) {
    return x;
  } else {
    MatrixView<T> const to = scratch_.matrix<T>(x.rows, x.cols);
    cpu::parallel_rows(*this, x.rows, [&](Index t) {
      AETH_CPU_KERNEL(level_, float, copy_rows, to.row(t), Index{0}, x.row(t), Index{0}, Index{1}, x.cols);
    });
    return to;
  }
}

template <class X, class Y, class W>
void Cpu::linear(MatrixView<X const> x, W const* packed, MatrixView<Y> y, Write write) {
  ArenaScope const scope(scratch_);
  auto const left = converted<W>(x);
  MatmulJob<W, Y> const job{y.rows, y.cols, x.cols, {left.data, left.stride}, packed, 0, y.data, y.stride};
  matmul(&job, 1, write);
}

template <class X, class Y, class W>
void Cpu::linear_per_head(Index heads, MatrixView<X const> x, Index x_step, Index in, W const* packed,
                          Index packed_stride, Index out, MatrixView<Y> y, Index y_step) {
  ArenaScope const scope(scratch_);
  auto const left = converted<W>(x);
  auto* const jobs = scratch_.take<MatmulJob<W, Y>>(heads);
  for (Index h = 0; h < heads; ++h)
    jobs[h] = {x.rows,
               out,
               in,
               {left.data + h * x_step, left.stride},
               packed + h * packed_stride,
               0,
               y.data + h * y_step,
               y.stride};
  matmul(jobs, heads, Write::overwrite);
}

template <class W, class DY, class X, class T>
void Cpu::linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw) {
  Index const all[] = {0, dy.rows};
  grouped_linear_weight_grad<W>(dy, x, dw, Index{0}, all, Index{1});
}

template <class X, class Y, class W>
void Cpu::grouped_linear(MatrixView<X const> x, W const* packed, Index packed_stride, Index const* first,
                         Index groups, MatrixView<Y> y) {
  ArenaScope const scope(scratch_);
  auto const left = converted<W>(x);
  auto* const jobs = scratch_.take<MatmulJob<W, Y>>(groups);
  for (Index e = 0; e < groups; ++e)
    jobs[e] = {first[e + 1] - first[e],    y.cols, x.cols,          {left.row(first[e]), left.stride},
               packed + e * packed_stride, 0,      y.row(first[e]), y.stride};
  matmul(jobs, groups, Write::overwrite);
}

template <class W, class DY, class X, class T>
void Cpu::grouped_linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw0,
                                     Index weight_stride, Index const* first, Index groups) {
  if constexpr (std::is_same_v<W, e4m3>) {
    weight_grad_f8(dy, x, dw0, weight_stride, first, groups);
  } else {
    ArenaScope const scope(scratch_);
    auto const left = converted<W>(dy);
    auto const right = converted<W>(x);
    auto* const jobs = scratch_.take<MatmulJob<W, T>>(groups);
    for (Index e = 0; e < groups; ++e)
      jobs[e] = {dw0.rows,
                 dw0.cols,
                 first[e + 1] - first[e],
                 {left.row(first[e]), left.stride, true},
                 right.row(first[e]),
                 right.stride,
                 dw0.data + e * weight_stride,
                 dw0.stride};
    matmul(jobs, groups, Write::accumulate);
  }
}

}  // namespace aeth
