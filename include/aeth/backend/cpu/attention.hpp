/// The attention cores of the CPU backend: one task per (sequence, head), keys in order, queries in tiles.
///
/// Softmax sums run over sixteen lanes counted from the first key of the sequence, and every other sum over
/// keys in order, so neither the tile size nor how a prompt is cut into chunks changes a bit. No T×T buffer
/// exists.
#pragma once

#include "aeth/backend/cpu/cpu.hpp"

namespace aeth {

namespace cpu {

inline constexpr Index query_tile = 48;
inline constexpr Index latent_block = 240;   ///< keys of a task; sums over keys are cut here
inline constexpr Index latent_queries = 16;  ///< whose scores are held at once

/// One head of one sequence in the computing type, gathered so that every product runs over contiguous rows.
template <class T>
struct HeadOperands {
  Index keys = 0, padded_keys = 0;
  T* k_transposed = nullptr;  ///< panels of 64 keys: [N+R, 64]
  T* k = nullptr;             ///< [keys, N+R], backward only
  T* v = nullptr;             ///< [keys, U]
  T* v_transposed = nullptr;  ///< panels as well: [U, 64], backward only

  [[nodiscard]] RightMatrix<T> keys_as_columns(Index d) const {
    return {k_transposed, matmul_panel, matmul_panel * d};
  }
  [[nodiscard]] RightMatrix<T> values_as_columns(Index u) const {
    return {v_transposed, matmul_panel, matmul_panel * u};
  }

  template <class X>
  void gather(Arena& arena, SimdLevel level, AttentionShape shape, AttentionSpan const& span, Index head,
              MatrixView<X const> kv, MatrixView<X const> k_pe, bool backward) {
    keys = span.keys;
    padded_keys = round_up(keys, matmul_panel);
    Index const n = shape.nope_dim, d = shape.qk_dim(), u = shape.v_dim;
    k_transposed = arena.take<T>(d * padded_keys);
    v = arena.take<T>(keys * u);
    if (backward) {
      k = arena.take<T>(keys * d);
      v_transposed = arena.take<T>(u * padded_keys);
    }
    X const* const from = kv.row(span.key_begin) + head * (n + u);
    X const* const rotary = k_pe.row(span.key_begin);
    for (Index j = 0; j < keys; j += matmul_panel) {
      Index const count = min(matmul_panel, keys - j);
      T* const panel = k_transposed + j * d;
      AETH_CPU_KERNEL(level, T, transpose, panel, matmul_panel, from + j * kv.stride, kv.stride, count, n);
      AETH_CPU_KERNEL(level, T, transpose, panel + n * matmul_panel, matmul_panel, rotary + j * k_pe.stride,
                      k_pe.stride, count, d - n);
      if (backward)
        AETH_CPU_KERNEL(level, T, transpose, v_transposed + j * u, matmul_panel, from + j * kv.stride + n,
                        kv.stride, count, u);
    }
    AETH_CPU_KERNEL(level, T, copy_rows, v, u, from + n, kv.stride, keys, u);
    if (!backward) return;
    AETH_CPU_KERNEL(level, T, copy_rows, k, d, from, kv.stride, keys, n);
    AETH_CPU_KERNEL(level, T, copy_rows, k + n, d, rotary, k_pe.stride, keys, d - n);
  }
};

/// Bytes that a task of either core takes at most for spans of up to `keys` keys: what `HeadOperands` and the
/// tiles of the backward core hold, which are all of the forward core's and more.
template <class T>
constexpr Index attention_task_bytes(AttentionShape shape, Index keys) {
  Index const d = shape.qk_dim(), u = shape.v_dim, padded = round_up(keys, matmul_panel);
  Index const numbers = padded * (3 * (d + u) + 2 * query_tile) + query_tile * (2 * d + u) + matmul_scratch;
  constexpr Index takes = 12;  // each may lose most of a cache line
  return numbers * static_cast<Index>(sizeof(T)) + takes * static_cast<Index>(buffer_alignment);
}

}  // namespace cpu

template <class T>
void Cpu::reserve_attention(AttentionShape shape, Index keys) {
  // Of every thread: which one meets the longest span is chance.
  for (Arena& arena : thread_scratch_) arena.reserve(cpu::attention_task_bytes<T>(shape, keys));
}

template <class X, class Y, class T>
void Cpu::attention(AttentionShape shape, T scale, std::vector<AttentionSpan> const& spans,
                    MatrixView<X const> q, MatrixView<X const> kv, MatrixView<X const> k_pe, MatrixView<Y> o,
                    SoftmaxStatistics<T> statistics) {
  Index const d = shape.qk_dim(), u = shape.v_dim;
  parallel(static_cast<Index>(spans.size()) * shape.heads, [&](Index task, int thread) {
    AttentionSpan const& span = spans[to_size(task / shape.heads)];
    Index const head = task % shape.heads, past = span.keys - span.queries;
    Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
    ArenaScope const scope(arena);
    cpu::HeadOperands<T> x;
    x.gather(arena, level_, shape, span, head, kv, k_pe, false);
    T* const q_tile = arena.take<T>(cpu::query_tile * d);
    T* const scores = arena.take<T>(cpu::query_tile * x.padded_keys);
    T* const out = arena.take<T>(cpu::query_tile * u);
    T* const scratch = arena.take<T>(cpu::matmul_scratch);
    for (Index i = 0; i < span.queries; i += cpu::query_tile) {
      Index const rows = min(cpu::query_tile, span.queries - i), keys = past + i + rows,
                  padded = round_up(keys, Index{16});
      AETH_CPU_KERNEL(level_, T, copy_rows, q_tile, d, q.row(span.query_begin + i) + head * d, q.stride, rows,
                      d);
      cpu::matmul(level_, rows, padded, d, cpu::LeftMatrix<T>{q_tile, d}, x.keys_as_columns(d), scores,
                  x.padded_keys, false, scratch);
      for (Index r = 0; r < rows; ++r) {
        T* const row = scores + r * x.padded_keys;
        Index const t = span.query_begin + i + r, seen = past + i + r + 1;
        T const shift = scale * AETH_CPU_KERNEL(level_, T, largest, row, seen);
        T const sum = AETH_CPU_KERNEL(level_, T, exponential_row, row, row, seen, keys, scale, shift);
        statistics.shift[t * shape.heads + head] = shift;
        statistics.inverse_sum[t * shape.heads + head] = T(1) / sum;
      }
      cpu::matmul(level_, rows, u, keys, cpu::LeftMatrix<T>{scores, x.padded_keys},
                  cpu::RightMatrix<T>{x.v, u}, out, u, false, scratch);
      for (Index r = 0; r < rows; ++r) {
        Index const t = span.query_begin + i + r;
        AETH_CPU_KERNEL(level_, T, scale, o.row(t) + head * u, statistics.inverse_sum[t * shape.heads + head],
                        out + r * u, u);
      }
    }
  });
}

template <class X, class T>
void Cpu::attention_backward(AttentionShape shape, T scale, std::vector<AttentionSpan> const& spans,
                             MatrixView<X const> q, MatrixView<X const> kv, MatrixView<X const> k_pe,
                             MatrixView<X const> o, SoftmaxStatistics<T> statistics, MatrixView<X const> d_o,
                             MatrixView<X> dq, MatrixView<X> dkv, MatrixView<X> dk_pe) {
  Index const n = shape.nope_dim, d = shape.qk_dim(), u = shape.v_dim, heads = shape.heads;
  ArenaScope const outer(scratch_);
  MatrixView<T> const dk_rotary =
      scratch_.matrix<T>(k_pe.rows, heads * shape.rope_dim);  // per head, summed below
  parallel(static_cast<Index>(spans.size()) * heads, [&](Index task, int thread) {
    AttentionSpan const& span = spans[to_size(task / heads)];
    Index const head = task % heads, past = span.keys - span.queries;
    Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
    ArenaScope const scope(arena);
    cpu::HeadOperands<T> x;
    x.gather(arena, level_, shape, span, head, kv, k_pe, true);
    T* const q_tile = arena.take<T>(cpu::query_tile * d);
    T* const do_tile = arena.take<T>(cpu::query_tile * u);
    T* const p = arena.take<T>(cpu::query_tile * x.padded_keys);
    T* const ds = arena.take<T>(cpu::query_tile * x.padded_keys);
    T* const dq_tile = arena.take<T>(cpu::query_tile * d);
    T* const dk = arena.take<T>(span.keys * d);
    T* const dv = arena.take<T>(span.keys * u);
    T* const scratch = arena.take<T>(cpu::matmul_scratch);
    for (Index i = 0; i < span.keys * d; ++i) dk[i] = T(0);
    for (Index i = 0; i < span.keys * u; ++i) dv[i] = T(0);
    for (Index i = 0; i < span.queries; i += cpu::query_tile) {
      Index const rows = min(cpu::query_tile, span.queries - i), keys = past + i + rows,
                  padded = round_up(keys, Index{16});
      Index const t0 = span.query_begin + i;
      AETH_CPU_KERNEL(level_, T, copy_rows, q_tile, d, q.row(t0) + head * d, q.stride, rows, d);
      AETH_CPU_KERNEL(level_, T, copy_rows, do_tile, u, d_o.row(t0) + head * u, d_o.stride, rows, u);
      cpu::matmul(level_, rows, padded, d, cpu::LeftMatrix<T>{q_tile, d}, x.keys_as_columns(d), p,
                  x.padded_keys, false, scratch);
      cpu::matmul(level_, rows, padded, u, cpu::LeftMatrix<T>{do_tile, u}, x.values_as_columns(u), ds,
                  x.padded_keys, false, scratch);
      for (Index r = 0; r < rows; ++r) {
        T* const p_row = p + r * x.padded_keys;
        T* const ds_row = ds + r * x.padded_keys;
        Index const at = (t0 + r) * heads + head, seen = past + i + r + 1;
        (void)AETH_CPU_KERNEL(level_, T, exponential_row, p_row, p_row, seen, keys, scale,
                              statistics.shift[at]);
        AETH_CPU_KERNEL(level_, T, scale, p_row, statistics.inverse_sum[at], p_row, keys);
        T const delta = AETH_CPU_KERNEL(level_, T, dot, do_tile + r * u, o.row(t0 + r) + head * u, u);
        AETH_CPU_KERNEL(level_, T, softmax_backward_row, ds_row, p_row, ds_row, delta, scale, keys);
      }
      cpu::matmul(level_, keys, u, rows, cpu::LeftMatrix<T>{p, x.padded_keys, true},
                  cpu::RightMatrix<T>{do_tile, u}, dv, u, true, scratch);
      cpu::matmul(level_, keys, d, rows, cpu::LeftMatrix<T>{ds, x.padded_keys, true},
                  cpu::RightMatrix<T>{q_tile, d}, dk, d, true, scratch);
      cpu::matmul(level_, rows, d, keys, cpu::LeftMatrix<T>{ds, x.padded_keys}, cpu::RightMatrix<T>{x.k, d},
                  dq_tile, d, false, scratch);
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < d; ++c) dq(t0 + r, head * d + c) = X(dq_tile[r * d + c]);
    }
    for (Index j = 0; j < span.keys; ++j) {
      X* const to = dkv.row(span.key_begin + j) + head * (n + u);
      T* const rotary = dk_rotary.row(span.key_begin + j) + head * shape.rope_dim;
      for (Index c = 0; c < n; ++c) to[c] = X(dk[j * d + c]);
      for (Index c = n; c < d; ++c) rotary[c - n] = dk[j * d + c];
      for (Index c = 0; c < u; ++c) to[n + c] = X(dv[j * u + c]);
    }
  });
  parallel(k_pe.rows, [&](Index t, int) {
    for (Index c = 0; c < shape.rope_dim; ++c) {
      T sum = T(0);
      for (Index head = 0; head < heads; ++head) sum += dk_rotary(t, head * shape.rope_dim + c);
      dk_pe(t, c) = X(sum);
    }
  });
}

template <class X, class T>
void Cpu::latent_attention(Index heads, Index latent_dim, T scale, std::vector<AttentionSpan> const& spans,
                           MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o) {
  for (AttentionSpan const& span : spans)
    for (Index i = 0; i < span.queries; i += cpu::latent_queries) {
      AttentionSpan part = span;
      part.query_begin += i;
      part.keys -= max(span.queries - i - cpu::latent_queries, Index{0});
      part.queries = min(cpu::latent_queries, span.queries - i);
      latent_attention(heads, latent_dim, scale, part, q, cache, o);
    }
}

/// Scores lie as [keys, 16 heads], so that a cache row is read once for sixteen heads and every operation on scores
/// runs over heads. Sums over keys run in blocks counted from the first key, then over blocks. With a cache in BF16,
/// queries and unnormalised weights are rounded to it for the products; the sum of weights is of unrounded ones.
template <class X, class T>
void Cpu::latent_attention(Index heads, Index latent_dim, T scale, AttentionSpan const& span,
                           MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o) {
  constexpr Index block = cpu::latent_block, panel = cpu::matmul_panel;
  Index const d = cache.cols, past = span.keys - span.queries, groups = ceil_div(heads, Index{16});
  Index const blocks = ceil_div(span.keys, block), rows = span.queries * groups;
  ArenaScope const outer(scratch_);
  T* const scores = scratch_.take<T>(rows * blocks * block * 16);
  T* const tops = scratch_.take<T>(rows * blocks * 16);
  T* const sums = scratch_.take<T>(rows * blocks * 16);
  Index const query_size = round_up(d, cpu::pair_of<X>) * 16;
  X* const queries = scratch_.take<X>(rows * query_size);
  X* const weights =
      std::is_same_v<X, T> ? reinterpret_cast<X*>(scores) : scratch_.take<X>(rows * blocks * block * 16);
  parallel(rows, [&](Index row, int) {
    Index const first = row % groups * 16, count = min(Index{16}, heads - first);
    T const* const from = q.row(span.query_begin + row / groups) + first * d;
    X* const to = queries + row * query_size;
    if constexpr (std::is_same_v<X, T>)
      AETH_CPU_KERNEL(level_, T, transpose, to, Index{16}, from, d, count, d);
    else
      AETH_CPU_KERNEL(level_, T, transpose_pairs, to, Index{16}, from, d, count, d);
  });
  // body(row, block, its first key, its visible keys, scratch) for every block of scores.
  auto const each_block = [&](auto const& body) {
    parallel(rows * blocks, [&](Index task, int thread) {
      Index const row = task / blocks, key = task % blocks * block;
      Index const seen = min(block, past + row / groups + 1 - key);
      Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
      ArenaScope const scope(arena);
      if (seen > 0) body(row, task, key, seen, arena);
    });
  };
  each_block([&](Index row, Index task, Index key, Index seen, Arena& arena) {
    T* const to = scores + task * block * 16;
    cpu::matmul(level_, seen, Index{16}, d, cpu::LeftMatrix<X>{cache.row(span.key_begin + key), cache.stride},
                cpu::RightMatrix<X>{queries + row * query_size, Index{16}, Index{0}}, to, Index{16}, false,
                arena.take<T>(cpu::matmul_scratch));
    AETH_CPU_KERNEL(level_, T, largest_lanes, tops + task * 16, to, seen);
  });
  each_block([&](Index row, Index task, Index, Index seen, Arena&) {
    T shift[16];
    Index const used = ceil_div(past + row / groups + 1, block);
    AETH_CPU_KERNEL(level_, T, largest_lanes, shift, tops + row * blocks * 16, used);
    for (T& x : shift) x *= scale;
    AETH_CPU_KERNEL(level_, T, exponential_lanes, weights + task * block * 16, scores + task * block * 16,
                    seen, scale, shift, sums + task * 16);
  });
  Index const strips = ceil_div(latent_dim, panel);
  parallel(rows * strips, [&](Index task, int thread) {
    Index const row = task / strips, column = task % strips * panel, width = min(panel, latent_dim - column);
    Index const first = row % groups * 16, count = min(Index{16}, heads - first),
                seen = past + row / groups + 1;
    Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
    ArenaScope const scope(arena);
    T* const scratch = arena.take<T>(cpu::matmul_scratch);
    T* const out = o.row(span.query_begin + row / groups) + first * latent_dim + column;
    T total[16] = {};
    for (Index key = 0; key < seen; key += block) {
      Index const n = min(block, seen - key), at = row * blocks + key / block;
      cpu::matmul(level_, count, width, n, cpu::LeftMatrix<X>{weights + at * block * 16, Index{16}, true},
                  cpu::RightMatrix<X>{cache.row(span.key_begin + key) + column, cache.stride}, out,
                  latent_dim, key > 0, scratch);
      for (int lane = 0; lane < 16; ++lane) total[lane] += sums[at * 16 + lane];
    }
    for (Index h = 0; h < count; ++h)
      AETH_CPU_KERNEL(level_, T, scale, out + h * latent_dim, T(1) / total[h], out + h * latent_dim, width);
  });
}

}  // namespace aeth
