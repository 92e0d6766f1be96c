/// Matrix products of FP8 operands on the CPU: codes of E4M3 with one scale per tile.
///
/// The arithmetic, the same on every SIMD level: an operand is x ≈ code · scale with scale = largest / 448, code = x /
/// scale rounded to nearest even. Tiles are 128 × 128 of a weight; one row times 128 columns of what a weight multiplies;
/// in the weight's gradient, where the sum runs over tokens, 128 tokens times one column, counted from the first row of a
/// group. Within 128 steps of k a sum is the chain of BF16 products (detail/kernels_matmul.hpp): all codes and their
/// products are exact there. It is then promoted: multiplied by the rounded product of both scales and added, with one
/// rounding, to a sum in FP32, which begins at 0 or at what the result holds. Scales, their product and sums that are
/// subnormal in FP32 count as zero. `Cpu::set_f8_arithmetic` changes scales, tiles and sums. In the products per head of
/// absorbed attention the left operand is not quantised: its numbers in BF16 are its codes, with scales of 1; sums there
/// are in FP32 always.
///
/// Packed weights are bytes: codes in panels like those of BF16, then, aligned to a cache line, a scale per panel and
/// block of k.
///
/// source   DeepSeek-V3, arXiv:2412.19437, §3.3.2: tiles, promotion every 128
#pragma once

#include <type_traits>

#include "aeth/backend/cpu/f8_operands.hpp"

namespace aeth {

namespace cpu {

/// One product of a group: C (+)= A · B.
template <class Y>
struct F8Job {
  Index rows = 0, columns = 0, depth = 0;
  F8Left a;
  e4m3 const* b = nullptr;  ///< packed
  Y* c = nullptr;
  Index c_row = 0;
};

/// The gradient of a weight: C += Aᵀ · B over rows of both.
struct F8GradientJob {
  Index rows = 0, columns = 0, depth = 0;
  F8Left a;  ///< [depth, rows]
  F8Left b;  ///< [depth, columns]
  float* c = nullptr;
  Index c_row = 0;
};

/// A tile of a result that a task makes, some blocks of k at a time.
struct F8Tile {
  Index height, width;
  float* c;
  Index c_row;
  float* part = nullptr;  ///< where sums are limited: those that are not in c yet, rows `stride` apart
  Index stride = 0;       ///< a multiple of matmul_panel

  /// Takes room for limited sums, `row_floats` a row.
  void limit(Arena& arena, Index row_floats) {
    stride = row_floats;
    part = arena.take<float>(height * stride);
  }
};
inline constexpr Index f8_gradient_rows = 4 * matmul_group, f8_gradient_columns = 4 * matmul_panel;
/// Steps of k that a tile adds up before the next tile does, so that C is far away as rarely as in products of BF16: as many as
/// they take at once at most; levels that widen A take half of it at a time.
inline constexpr Index f8_depth = 2 * matmul_k_block;
static_assert(f8_depth % f8_block == 0);
/// Floats of scratch of a task: a widened part of a panel, a narrow C before it is rounded, column scales, and what a
/// product within blocks needs.
inline constexpr Index f8_scratch = f8_depth * matmul_panel / 2 + matmul_rows * matmul_panel +
                                    f8_depth / f8_block * matmul_panel + matmul_scratch;
/// Floats beside those where sums are limited.
inline constexpr Index f8_limited_scratch =
    max(matmul_rows * matmul_panel, f8_gradient_rows* f8_gradient_columns);

/// Runs `body(job, at, thread)` for every task of several jobs; `tasks_of(job)` says how many it has, panel_bytes: see
/// tasks_at_once().
template <class Job, class TasksOf, class Body>
void for_tasks(Cpu& cpu, Job const* jobs, Index count, Index panel_bytes, TasksOf const& tasks_of,
               Body const& body) {
  Index* const first = cpu.scratch().take<Index>(count + 1);
  first[0] = 0;
  for (Index j = 0; j < count; ++j) first[j + 1] = first[j] + tasks_of(jobs[j]);
  Index const total = first[count], at_once = tasks_at_once(panel_bytes, total, cpu.threads());
  cpu.parallel(ceil_div(total, at_once), [&](Index part, int thread) {
    for (Index task = part * at_once; task < min((part + 1) * at_once, total); ++task) {
      Index low = 0;
      for (Index high = count; high - low > 1;) {
        Index const middle = (low + high) / 2;
        (first[middle] <= task ? low : high) = middle;
      }
      body(jobs[low], task - first[low], thread);
    }
  });
}

}  // namespace cpu

/// The product A · B of a part of k of a tile. Parts come in ascending order, the first and the last of them named; they are of
/// one block where sums are limited. The tile's c is overwritten unless `accumulate`.
///
/// shapes   tile.part [height, stride], of which width columns count; c [height, width]
/// ahead    prefetched on the way, unless sums are limited
inline void Cpu::add_f8_part(cpu::F8Tile const& tile, Index depth, bool first, bool last, bool accumulate,
                             cpu::F8TileScales const& scales, cpu::LeftMatrix<bf16> a,
                             cpu::RightMatrix<bf16> b, float* scratch, cpu::Ahead ahead) const {
  if (!tile.part)
    return cpu::matmul(level_, tile.height, tile.width, depth, a, b, tile.c, tile.c_row, accumulate || !first,
                       scratch, ahead, scales);
  cpu::FlushSubnormals const scope;
  cpu::F8TileScales const none{}, &inside = f8_.promote ? none : scales, &after = f8_.promote ? scales : none;
  if (first || f8_.promote)
    for (Index i = 0; i < tile.height * tile.stride; ++i) tile.part[i] = 0.0f;
  for (Index k = 0; k < depth; k += cpu::tensor_core_steps) {
    AETH_CPU_KERNEL(level_, float, tensor_core_step, tile.part, tile.stride, tile.height, tile.width,
                    min(cpu::tensor_core_steps, depth - k), a, b, inside, f8_.accumulator_bits);
    a.data += cpu::tensor_core_steps * (a.columns ? a.stride : 1);
    b.data += cpu::tensor_core_steps * b.stride;
  }
  if (f8_.promote || last)
    AETH_CPU_KERNEL(level_, float, promote, tile.c, tile.c_row, tile.part, tile.stride, tile.height,
                    tile.width, after, accumulate || (f8_.promote && !first));
}

inline void Cpu::reserve_f8_scratch(bool limited) {
  Index const floats = cpu::f8_scratch + (limited ? cpu::f8_limited_scratch : 0);
  for (Arena& arena : thread_scratch_) arena.reserve(floats * static_cast<Index>(sizeof(float)));
}

/// `limited`: whether `accumulator_bits` applies, which it does where both operands are codes.
template <class Y>
void Cpu::matmul_f8(cpu::F8Job<Y> const* jobs, Index count, Write write, bool limited) {
  limited = limited && f8_.limited();
  ArenaScope const scope(scratch_);
  reserve_f8_scratch(limited);
  auto const row_tiles = [](cpu::F8Job<Y> const& job) { return ceil_div(job.rows, cpu::matmul_rows); };
  auto const tasks = [&](cpu::F8Job<Y> const& job) {
    return row_tiles(job) * ceil_div(job.columns, cpu::matmul_panel);
  };
  Index panel_bytes = 1;
  for (Index j = 0; j < count; ++j)
    panel_bytes = jobs[j].rows <= cpu::f8_few_rows && panel_bytes > 0 && !limited
                      ? max(panel_bytes, jobs[j].depth * cpu::matmul_panel)
                      : 0;
  cpu::for_tasks(*this, jobs, count, panel_bytes, tasks, [&](cpu::F8Job<Y> const& job, Index at, int thread) {
    cpu::F8Layout const layout{job.columns, job.depth};
    Index const row = at % row_tiles(job) * cpu::matmul_rows, panel = at / row_tiles(job),
                column = panel * cpu::matmul_panel, height = min(cpu::matmul_rows, job.rows - row),
                used = min(cpu::matmul_panel, job.columns - column), width = layout.width(used);
    if (height <= cpu::f8_few_rows && !limited)
      return cpu::f8_rows(level_, height, used, job.depth, job.a.codes + row * job.a.stride, job.a.stride,
                          job.a.scales + row * job.a.scale_stride, job.a.scale_stride,
                          layout.panel(job.b, panel), width, layout.scales(job.b) + panel * layout.blocks(),
                          job.c + row * job.c_row + column, job.c_row, write == Write::accumulate);
    Arena& arena = thread_scratch_[to_size(thread)];
    ArenaScope const task_scope(arena);
    bf16* const pairs = arena.take<bf16>(cpu::f8_depth * cpu::matmul_panel);
    float* const column_scales = arena.take<float>(cpu::f8_depth / cpu::f8_block * cpu::matmul_panel);
    float* const scratch = arena.take<float>(cpu::matmul_scratch);
    Y* const c = job.c + row * job.c_row + column;
    float* out;
    Index out_row = job.c_row;
    if constexpr (std::is_same_v<Y, float>) {
      out = c;
    } else {
      out = arena.take<float>(height * cpu::matmul_panel);
      out_row = cpu::matmul_panel;
      if (write == Write::accumulate)
        AETH_CPU_KERNEL(level_, float, copy_rows, out, out_row, c, job.c_row, height, used);
    }
    cpu::F8Tile tile{height, used, out, out_row};
    if (limited) tile.limit(arena, cpu::matmul_panel);
    Index const most = limited ? cpu::f8_block : cpu::f8_depth;
    for (Index k = 0; k < job.depth; k += most) {
      Index const b = k / cpu::f8_block, depth = min(most, job.depth - k);
      float const* const scales = layout.scales(job.b) + panel * layout.blocks() + b;
      // Other threads have written a part of A: it comes while a thread computes with the first rows of its first panel.
      cpu::Ahead ahead;
      if (k == 0 && panel < threads())
        ahead = cpu::Ahead::of(job.a.codes + row * job.a.stride, (height - 1) * job.a.stride + job.depth);
      for (Index n = 0; n < ceil_div(depth, cpu::f8_block); ++n)
        for (Index j = 0; j < used; ++j) column_scales[n * cpu::matmul_panel + j] = scales[n];
      cpu::widen_groups(level_, pairs, layout.panel(job.b, panel) + k * width,
                        round_up(depth, Index{2}) * width);
      add_f8_part(tile, depth, k == 0, k + most >= job.depth, write == Write::accumulate,
                  {job.a.scales + row * job.a.scale_stride + b, job.a.scale_stride, 1, column_scales,
                   cpu::matmul_panel},
                  {job.a.codes + row * job.a.stride + k, job.a.stride}, {pairs, width, 0}, scratch, ahead);
    }
    if constexpr (!std::is_same_v<Y, float>)
      AETH_CPU_KERNEL(level_, float, copy_rows, c, job.c_row, out, out_row, height, used);
  });
}

inline void Cpu::weight_grad_f8(cpu::F8GradientJob const* jobs, Index count) {
  ArenaScope const scope(scratch_);
  reserve_f8_scratch(f8_.limited());
  constexpr Index tile_rows = cpu::f8_gradient_rows, tile_columns = cpu::f8_gradient_columns;
  auto const row_tiles = [](cpu::F8GradientJob const& job) { return ceil_div(job.rows, tile_rows); };
  auto const tasks = [&](cpu::F8GradientJob const& job) {
    return job.depth > 0 ? row_tiles(job) * ceil_div(job.columns, tile_columns) : 0;
  };
  cpu::for_tasks(*this, jobs, count, 0, tasks, [&](cpu::F8GradientJob const& job, Index at, int thread) {
    Index const row = at % row_tiles(job) * tile_rows, column = at / row_tiles(job) * tile_columns,
                height = min(tile_rows, job.rows - row), width = min(tile_columns, job.columns - column);
    Arena& arena = thread_scratch_[to_size(thread)];
    ArenaScope const task_scope(arena);
    float* const scratch = arena.take<float>(cpu::matmul_scratch);
    cpu::F8Tile tile{height, width, job.c + row * job.c_row + column, job.c_row};
    if (f8_.limited()) tile.limit(arena, tile_columns);
    Index const most = f8_.limited() ? cpu::f8_block : cpu::f8_depth;
    for (Index t = 0; t < job.depth; t += most) {
      Index const b = t / cpu::f8_block;
      add_f8_part(tile, min(most, job.depth - t), t == 0, t + most >= job.depth, true,
                  {job.a.scales + b * job.a.scale_stride + row, 1, job.a.scale_stride,
                   job.b.scales + b * job.b.scale_stride + column, job.b.scale_stride},
                  {job.a.codes + t * job.a.stride + row, job.a.stride, true},
                  {job.b.codes + t * job.b.stride + column, job.b.stride}, scratch);
    }
  });
}

template <class X, class Y>
void Cpu::linear(MatrixView<X const> x, e4m3 const* packed, MatrixView<Y> y, Write write) {
  ArenaScope const scope(scratch_);
  cpu::F8Job<Y> const job{y.rows, y.cols, x.cols, quantized_rows(x, packed), packed, y.data, y.stride};
  matmul_f8(&job, 1, write, true);
}

template <class X, class Y>
void Cpu::linear_per_head(Index heads, MatrixView<X const> x, Index x_step, Index in, e4m3 const* packed,
                          Index packed_stride, Index out, MatrixView<Y> y, Index y_step) {
  ArenaScope const scope(scratch_);
  auto const left = converted<bf16>(x);
  Index const blocks = ceil_div(in, cpu::f8_block);
  float* const ones = scratch_.take<float>(blocks);
  for (Index b = 0; b < blocks; ++b) ones[b] = 1.0f;
  auto* const jobs = scratch_.take<cpu::F8Job<Y>>(heads);
  for (Index h = 0; h < heads; ++h)
    jobs[h] = {x.rows,
               out,
               in,
               {left.data + h * x_step, left.stride, ones, 0},
               packed + h * packed_stride,
               y.data + h * y_step,
               y.stride};
  matmul_f8(jobs, heads, Write::overwrite, false);
}

template <class X, class Y>
void Cpu::grouped_linear(MatrixView<X const> x, e4m3 const* packed, Index packed_stride, Index const* first,
                         Index groups, MatrixView<Y> y) {
  ArenaScope const scope(scratch_);
  cpu::F8Left const left = quantized_rows(x, packed);
  auto* const jobs = scratch_.take<cpu::F8Job<Y>>(groups);
  for (Index e = 0; e < groups; ++e) {
    cpu::F8Left a = left;
    a.codes += first[e] * a.stride;
    a.scales += first[e] * a.scale_stride;
    jobs[e] = {first[e + 1] - first[e],    y.cols,          x.cols,  a,
               packed + e * packed_stride, y.row(first[e]), y.stride};
  }
  matmul_f8(jobs, groups, Write::overwrite, true);
}

template <class DY, class X>
void Cpu::weight_grad_f8(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<float> dw0,
                         Index weight_stride, Index const* first, Index groups) {
  ArenaScope const scope(scratch_);
  cpu::F8Left a = quantized_columns(dy, first, groups, dw0.data, F8Operand::gradient_columns),
              b = quantized_columns(x, first, groups, dw0.data, F8Operand::input_columns);
  auto* const jobs = scratch_.take<cpu::F8GradientJob>(groups);
  for (Index e = 0; e < groups; ++e) {
    Index const rows = first[e + 1] - first[e], blocks = ceil_div(rows, cpu::f8_block);
    jobs[e] = {dw0.rows, dw0.cols, rows, a, b, dw0.data + e * weight_stride, dw0.stride};
    for (cpu::F8Left* const side : {&a, &b}) {
      side->codes += rows * side->stride;
      side->scales += blocks * side->scale_stride;
    }
  }
  weight_grad_f8(jobs, groups);
}

}  // namespace aeth
