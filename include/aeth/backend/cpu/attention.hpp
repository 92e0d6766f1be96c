/// The attention cores of the CPU backend. Expanded: one task per (sequence, head), keys in order, queries in
/// tiles. Over the latent cache: one task per block of keys, for sixteen heads at once.
///
/// Products take their operands in the storage type: in BF16 softmax weights, and in backward the gradients of
/// scores, are rounded to it. Softmax sums, of unrounded weights, run over sixteen lanes counted from the first
/// key of the sequence, and every other sum over keys in order, so neither the tile size nor how a prompt is cut
/// into chunks changes a bit. No T×T buffer exists.
#pragma once

#include "aeth/backend/cpu/cpu.hpp"

namespace aeth {

namespace cpu {

inline constexpr Index query_tile = 48;
inline constexpr Index latent_block = 128;   ///< keys of a task; sums over keys are cut here
inline constexpr Index latent_queries = 16;  ///< at once, if their blocks are not too many:
inline constexpr Index latent_parts = 1024;  ///< partial results held at once, of sixteen heads each

/// Room for what products read of `values`, which are not needed after: they themselves if the type is the same.
template <class X, class T>
X* operands_for(Arena& arena, T* values, Index size) {
  if constexpr (std::is_same_v<X, T>)
    return values;
  else
    return arena.take<X>(size);
}

/// One head of one sequence, arranged as products read it on the right; see `RightMatrix`.
template <class X>
struct HeadOperands {
  Index keys = 0, padded_keys = 0;
  X *key_columns = nullptr, *key_rows = nullptr;  ///< for products over N+R, and over keys (backward only)
  X *value_columns = nullptr, *value_rows = nullptr;  ///< for products over U (backward only), and over keys

  /// Elements of panels for a product over `depth`.
  static Index size_of(Index depth, Index columns) {
    return round_up(depth, pair_of<X>) * round_up(columns, matmul_panel);
  }
  [[nodiscard]] static RightMatrix<X> panels(X const* data, Index depth) {
    return {data, matmul_panel, round_up(depth, pair_of<X>) * matmul_panel};
  }

  template <class T>
  void gather(Arena& arena, SimdLevel level, AttentionShape shape, AttentionSpan const& span, Index head,
              MatrixView<X const> kv, MatrixView<X const> k_pe, bool backward) {
    keys = span.keys;
    padded_keys = round_up(keys, matmul_panel);
    Index const n = shape.nope_dim, d = shape.qk_dim(), u = shape.v_dim;
    key_columns = arena.take<X>(size_of(d, keys));
    value_rows = arena.take<X>(size_of(keys, u));
    if (backward) {
      key_rows = arena.take<X>(size_of(keys, d));
      value_columns = arena.take<X>(size_of(u, keys));
    }
    X const* const from = kv.row(span.key_begin) + head * (n + u);
    X const* const rotary = k_pe.row(span.key_begin);
    ArenaScope const scope(arena);
    X* const whole = arena.take<X>(keys * d);
    AETH_CPU_KERNEL(level, T, copy_rows, whole, d, from, kv.stride, keys, n);
    AETH_CPU_KERNEL(level, T, copy_rows, whole + n, d, rotary, k_pe.stride, keys, d - n);
    columns_to_panels<T>(level, key_columns, whole, d, d);
    rows_to_panels<T>(level, value_rows, from + n, kv.stride, u);
    if (!backward) return;
    rows_to_panels<T>(level, key_rows, whole, d, d);
    columns_to_panels<T>(level, value_columns, from + n, kv.stride, u);
  }

 private:
  template <class T>
  void columns_to_panels(SimdLevel level, X* to, X const* from, Index stride, Index depth) const {
    for (Index j = 0; j < keys; j += matmul_panel)
      pack_columns<T>(level, to + j * round_up(depth, pair_of<X>), matmul_panel, from + j * stride, stride,
                      min(matmul_panel, keys - j), depth);
  }
  template <class T>
  void rows_to_panels(SimdLevel level, X* to, X const* from, Index stride, Index columns) const {
    for (Index j = 0; j < columns; j += matmul_panel)
      AETH_CPU_KERNEL(level, T, copy_rows_of_panel, to + j * round_up(keys, pair_of<X>), matmul_panel,
                      from + j, stride, keys, min(matmul_panel, columns - j), false);
  }
};

/// Bytes that a task of either core takes at most for spans of up to `keys` keys: what `HeadOperands` and the
/// tiles of the backward core hold, which are all of the forward core's and more.
template <class T>
constexpr Index attention_task_bytes(AttentionShape shape, Index keys) {
  Index const d = round_up(shape.qk_dim(), matmul_panel), u = round_up(shape.v_dim, matmul_panel),
              padded = round_up(keys, matmul_panel);
  Index const numbers = padded * (4 * (d + u) + 4 * query_tile) + query_tile * (2 * d + u) + matmul_scratch;
  constexpr Index takes = 16;  // each may lose most of a cache line
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
    cpu::HeadOperands<X> x;
    x.template gather<T>(arena, level_, shape, span, head, kv, k_pe, false);
    X* const q_tile = arena.take<X>(cpu::query_tile * d);
    T* const scores = arena.take<T>(cpu::query_tile * x.padded_keys);
    X* const weights = cpu::operands_for<X>(arena, scores, cpu::query_tile * x.padded_keys);
    T* const out = arena.take<T>(cpu::query_tile * u);
    T* const scratch = arena.take<T>(cpu::matmul_scratch);
    for (Index i = 0; i < span.queries; i += cpu::query_tile) {
      Index const rows = min(cpu::query_tile, span.queries - i), keys = past + i + rows,
                  padded = round_up(keys, Index{16});
      AETH_CPU_KERNEL(level_, T, copy_rows, q_tile, d, q.row(span.query_begin + i) + head * d, q.stride, rows,
                      d);
      cpu::matmul(level_, rows, padded, d, cpu::LeftMatrix<X>{q_tile, d}, x.panels(x.key_columns, d), scores,
                  x.padded_keys, false, scratch);
      for (Index r = 0; r < rows; ++r) {
        T* const row = scores + r * x.padded_keys;
        Index const t = span.query_begin + i + r, seen = past + i + r + 1;
        T const shift = scale * AETH_CPU_KERNEL(level_, T, largest, row, seen);
        T const sum = AETH_CPU_KERNEL(level_, T, exponential_row, weights + r * x.padded_keys, row, seen,
                                      padded, scale, shift);
        statistics.shift[t * shape.heads + head] = shift;
        statistics.inverse_sum[t * shape.heads + head] = T(1) / sum;
      }
      cpu::matmul(level_, rows, u, keys, cpu::LeftMatrix<X>{weights, x.padded_keys},
                  x.panels(x.value_rows, x.keys), out, u, false, scratch);
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
    cpu::HeadOperands<X> x;
    x.template gather<T>(arena, level_, shape, span, head, kv, k_pe, true);
    X* const q_tile = arena.take<X>(cpu::query_tile * d);
    X* const do_tile = arena.take<X>(cpu::query_tile * u);
    T* const p = arena.take<T>(cpu::query_tile * x.padded_keys);
    T* const dp = arena.take<T>(cpu::query_tile * x.padded_keys);
    // As products take them: in the type of the operands.
    X* const weights = cpu::operands_for<X>(arena, p, cpu::query_tile * x.padded_keys);
    X* const ds = cpu::operands_for<X>(arena, dp, cpu::query_tile * x.padded_keys);
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
      cpu::matmul(level_, rows, padded, d, cpu::LeftMatrix<X>{q_tile, d}, x.panels(x.key_columns, d), p,
                  x.padded_keys, false, scratch);
      cpu::matmul(level_, rows, padded, u, cpu::LeftMatrix<X>{do_tile, u}, x.panels(x.value_columns, u), dp,
                  x.padded_keys, false, scratch);
      for (Index r = 0; r < rows; ++r) {
        Index const line = r * x.padded_keys, at = (t0 + r) * heads + head, seen = past + i + r + 1;
        (void)AETH_CPU_KERNEL(level_, T, exponential_row, p + line, p + line, seen, padded, scale,
                              statistics.shift[at]);
        T const delta = AETH_CPU_KERNEL(level_, T, dot, do_tile + r * u, o.row(t0 + r) + head * u, u);
        AETH_CPU_KERNEL(level_, T, softmax_backward_row, weights + line, ds + line, p + line,
                        statistics.inverse_sum[at], dp + line, delta, scale, padded);
      }
      cpu::matmul(level_, keys, u, rows, cpu::LeftMatrix<X>{weights, x.padded_keys, true},
                  cpu::RightMatrix<X>{do_tile, u}, dv, u, true, scratch);
      cpu::matmul(level_, keys, d, rows, cpu::LeftMatrix<X>{ds, x.padded_keys, true},
                  cpu::RightMatrix<X>{q_tile, d}, dk, d, true, scratch);
      cpu::matmul(level_, rows, d, keys, cpu::LeftMatrix<X>{ds, x.padded_keys}, x.panels(x.key_rows, x.keys),
                  dq_tile, d, false, scratch);
      AETH_CPU_KERNEL(level_, T, copy_rows, dq.row(t0) + head * d, dq.stride, dq_tile, d, rows, d);
    }
    X* const to = dkv.row(span.key_begin) + head * (n + u);
    AETH_CPU_KERNEL(level_, T, copy_rows, to, dkv.stride, dk, d, span.keys, n);
    AETH_CPU_KERNEL(level_, T, copy_rows, to + n, dkv.stride, dv, u, span.keys, u);
    AETH_CPU_KERNEL(level_, T, copy_rows, dk_rotary.row(span.key_begin) + head * shape.rope_dim,
                    dk_rotary.stride, dk + n, d, span.keys, d - n);
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
  for (AttentionSpan const& span : spans) {
    Index const blocks = ceil_div(span.keys, cpu::latent_block) * ceil_div(heads, Index{16});
    Index const queries = max(min(cpu::latent_queries, cpu::latent_parts / blocks), Index{1});
    for (Index i = 0; i < span.queries; i += queries) {
      AttentionSpan part = span;
      part.query_begin += i;
      part.keys -= max(span.queries - i - queries, Index{0});
      part.queries = min(queries, span.queries - i);
      latent_attention(heads, latent_dim, scale, part, q, cache, o);
    }
  }
}

/// Scores lie as [keys, 16 heads], so that a cache row is read once for sixteen heads and every operation on scores
/// runs over heads. A block of keys, counted from the first, has its own largest scores, sums and weighted values;
/// those of blocks are then added in order. With a cache in BF16, queries and weights are rounded to it for the
/// products; the sum of weights is of unrounded ones.
template <class X, class T>
void Cpu::latent_attention(Index heads, Index latent_dim, T scale, AttentionSpan const& span,
                           MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o) {
  constexpr Index block = cpu::latent_block;
  Index const d = cache.cols, past = span.keys - span.queries, groups = ceil_div(heads, Index{16});
  // A power of two: while a sequence grows, scratch grows by doubling and not with every block.
  Index const blocks = power_of_two(ceil_div(span.keys, block)), rows = span.queries * groups;
  Index const query_size = round_up(d, cpu::pair_of<X>) * 16, part_size = 16 * latent_dim;
  // Steps of k of both products of a task, [block, d] · [d, 16] and [16, block] · [block, latent_dim], by register tiles
  // of six rows, as the wide SIMD levels have them; elsewhere the next block is only prefetched sooner.
  constexpr Index tile = 6;
  Index const steps =
      ceil_div(block, tile) * ceil_div(d, cpu::pair_of<X>) +
      ceil_div(Index{16}, tile) * ceil_div(latent_dim, cpu::matmul_panel) * (block / cpu::pair_of<X>);
  ArenaScope const outer(scratch_);
  X* const queries = scratch_.take<X>(rows * query_size);
  T* const parts = scratch_.take<T>(rows * blocks * part_size);
  T* const shifts = scratch_.take<T>(rows * blocks * 16);
  T* const sums = scratch_.take<T>(rows * blocks * 16);
  parallel(rows, [&](Index row, int) {
    Index const first = row % groups * 16, count = min(Index{16}, heads - first);
    cpu::pack_columns<T>(level_, queries + row * query_size, Index{16},
                         q.row(span.query_begin + row / groups) + first * d, d, count, d);
  });
  for (Arena& arena : thread_scratch_)
    arena.reserve((cpu::matmul_scratch + 2 * block * 16 + 16) * static_cast<Index>(sizeof(T)));
  parallel(rows * blocks, [&](Index task, int thread) {
    Index const row = task / blocks, key = task % blocks * block;
    Index const seen = min(block, past + row / groups + 1 - key);
    if (seen <= 0) return;
    Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
    ArenaScope const scope(arena);
    T* const scratch = arena.take<T>(cpu::matmul_scratch);
    T* const scores = arena.take<T>(block * 16);
    X* const weights = cpu::operands_for<X>(arena, scores, block * 16);
    T* const shift = shifts + task * 16;
    X const* const rows_of_cache = cache.row(span.key_begin + key);
    // Products read a few short rows at a time, which hardware does not foresee. Threads advance together, so this is
    // probably the block that this one takes next.
    cpu::Ahead ahead;
    if (Index const next = key + threads() * block; next < span.keys)
      ahead = cpu::Ahead::of(cache.row(span.key_begin + next), min(block, span.keys - next) * cache.stride,
                             steps);
    cpu::matmul(level_, seen, Index{16}, d, cpu::LeftMatrix<X>{rows_of_cache, cache.stride},
                cpu::RightMatrix<X>{queries + row * query_size, Index{16}, Index{0}}, scores, Index{16},
                false, scratch, ahead);
    AETH_CPU_KERNEL(level_, T, largest_lanes, shift, scores, seen);
    for (Index h = 0; h < 16; ++h) shift[h] *= scale;
    AETH_CPU_KERNEL(level_, T, exponential_lanes, weights, scores, seen, scale, shift, sums + task * 16);
    cpu::matmul(level_, Index{16}, latent_dim, seen, cpu::LeftMatrix<X>{weights, Index{16}, true},
                cpu::RightMatrix<X>{rows_of_cache, cache.stride}, parts + task * part_size, latent_dim, false,
                scratch, ahead);
  });
  parallel(span.queries * heads, [&](Index task, int) {
    Index const query = task / heads, head = task % heads, lane = head % 16;
    Index const first = (query * groups + head / 16) * blocks, used = ceil_div(past + query + 1, block);
    T top = shifts[first * 16 + lane], sum = T(0);
    for (Index b = 1; b < used; ++b) top = max(top, shifts[(first + b) * 16 + lane]);
    T* const out = o.row(span.query_begin + query) + head * latent_dim;
    for (Index b = 0; b < used; ++b) {
      T share = shifts[(first + b) * 16 + lane];
      (void)AETH_CPU_KERNEL(level_, T, exponential_row, &share, &share, Index{1}, Index{1}, T(1), top);
      sum = std::fma(share, sums[(first + b) * 16 + lane], sum);
      T const* const part = parts + (first + b) * part_size + lane * latent_dim;
      if (b == 0)
        AETH_CPU_KERNEL(level_, T, scale, out, share, part, latent_dim);
      else
        AETH_CPU_KERNEL(level_, T, add_scaled, out, share, part, latent_dim);
    }
    AETH_CPU_KERNEL(level_, T, scale, out, T(1) / sum, out, latent_dim);
  });
}

}  // namespace aeth
