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

/// One head of one sequence in the computing type, gathered so that every product runs over contiguous rows.
template <class T>
struct HeadOperands {
  Index keys = 0, padded_keys = 0;
  T* k_transposed = nullptr;  ///< [N+R, padded_keys]
  T* k = nullptr;             ///< [keys, N+R], backward only
  T* v = nullptr;             ///< [keys, U]
  T* v_transposed = nullptr;  ///< [U, padded_keys], backward only

  template <class X>
  void gather(Arena& arena, AttentionShape shape, AttentionSpan const& span, Index head,
              MatrixView<X const> kv, MatrixView<X const> k_pe, bool backward) {
    keys = span.keys;
    padded_keys = round_up(keys, Index{16});
    Index const n = shape.nope_dim, d = shape.qk_dim(), u = shape.v_dim;
    k_transposed = arena.take<T>(d * padded_keys);
    v = arena.take<T>(keys * u);
    if (backward) {
      k = arena.take<T>(keys * d);
      v_transposed = arena.take<T>(u * padded_keys);
    }
    // Sixteen keys at a time: transposing them then writes whole cache lines.
    for (Index j0 = 0; j0 < keys; j0 += 16) {
      Index const count = min(Index{16}, keys - j0), row = span.key_begin + j0;
      transpose(k_transposed + j0, padded_keys, kv, row, count, head * (n + u), n);
      transpose(k_transposed + n * padded_keys + j0, padded_keys, k_pe, row, count, 0, d - n);
      if (backward) transpose(v_transposed + j0, padded_keys, kv, row, count, head * (n + u) + n, u);
      for (Index j = j0; j < j0 + count; ++j) {
        X const* const from = kv.row(span.key_begin + j) + head * (n + u);
        for (Index i = 0; i < u; ++i) v[j * u + i] = static_cast<T>(from[n + i]);
        if (!backward) continue;
        X const* const rotary = k_pe.row(span.key_begin + j);
        for (Index i = 0; i < n; ++i) k[j * d + i] = static_cast<T>(from[i]);
        for (Index i = n; i < d; ++i) k[j * d + i] = static_cast<T>(rotary[i - n]);
      }
    }
  }

 private:
  /// to[i, 0 .. count) = x[row .. row + count, column + i] for i in [0, width).
  template <class X>
  static void transpose(T* to, Index stride, MatrixView<X const> x, Index row, Index count, Index column,
                        Index width) {
    for (Index i = 0; i < width; ++i)
      for (Index j = 0; j < count; ++j) to[i * stride + j] = static_cast<T>(x(row + j, column + i));
  }
};

/// Bytes that a task of either core takes at most for spans of up to `keys` keys: what `HeadOperands` and the
/// tiles of the backward core hold, which are all of the forward core's and more.
template <class T>
constexpr Index attention_task_bytes(AttentionShape shape, Index keys) {
  Index const d = shape.qk_dim(), u = shape.v_dim, padded = round_up(keys, Index{16});
  Index const numbers = padded * (3 * (d + u) + 2 * query_tile) + query_tile * (2 * d + u);
  constexpr Index takes = 11;  // each may lose most of a cache line
  return numbers * static_cast<Index>(sizeof(T)) + takes * static_cast<Index>(buffer_alignment);
}

/// rows × width of x, widened, contiguous.
template <class T, class X>
T* gather_rows(T* to, MatrixView<X const> x, Index first, Index rows, Index column, Index width) {
  for (Index r = 0; r < rows; ++r)
    for (Index i = 0; i < width; ++i) to[r * width + i] = static_cast<T>(x(first + r, column + i));
  return to;
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
    x.gather(arena, shape, span, head, kv, k_pe, false);
    T* const q_tile = arena.take<T>(cpu::query_tile * d);
    T* const scores = arena.take<T>(cpu::query_tile * x.padded_keys);
    T* const out = arena.take<T>(cpu::query_tile * u);
    for (Index i = 0; i < span.queries; i += cpu::query_tile) {
      Index const rows = min(cpu::query_tile, span.queries - i), keys = past + i + rows;
      cpu::gather_rows(q_tile, q, span.query_begin + i, rows, head * d, d);
      AETH_CPU_KERNEL(level_, T, matmul, rows, keys, d, q_tile, d, Index{1}, x.k_transposed, x.padded_keys,
                      scores, x.padded_keys, false);
      for (Index r = 0; r < rows; ++r) {
        T* const row = scores + r * x.padded_keys;
        Index const t = span.query_begin + i + r, seen = past + i + r + 1;
        T const shift = scale * AETH_CPU_KERNEL(level_, T, largest, row, seen);
        T const sum = AETH_CPU_KERNEL(level_, T, exponential_row, row, row, seen, keys, scale, shift);
        statistics.shift[t * shape.heads + head] = shift;
        statistics.inverse_sum[t * shape.heads + head] = T(1) / sum;
      }
      AETH_CPU_KERNEL(level_, T, matmul, rows, u, keys, scores, x.padded_keys, Index{1}, x.v, u, out, u,
                      false);
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
    x.gather(arena, shape, span, head, kv, k_pe, true);
    T* const q_tile = arena.take<T>(cpu::query_tile * d);
    T* const do_tile = arena.take<T>(cpu::query_tile * u);
    T* const p = arena.take<T>(cpu::query_tile * x.padded_keys);
    T* const ds = arena.take<T>(cpu::query_tile * x.padded_keys);
    T* const dq_tile = arena.take<T>(cpu::query_tile * d);
    T* const dk = arena.take<T>(span.keys * d);
    T* const dv = arena.take<T>(span.keys * u);
    for (Index i = 0; i < span.keys * d; ++i) dk[i] = T(0);
    for (Index i = 0; i < span.keys * u; ++i) dv[i] = T(0);
    for (Index i = 0; i < span.queries; i += cpu::query_tile) {
      Index const rows = min(cpu::query_tile, span.queries - i), keys = past + i + rows;
      Index const t0 = span.query_begin + i;
      cpu::gather_rows(q_tile, q, t0, rows, head * d, d);
      cpu::gather_rows(do_tile, d_o, t0, rows, head * u, u);
      AETH_CPU_KERNEL(level_, T, matmul, rows, keys, d, q_tile, d, Index{1}, x.k_transposed, x.padded_keys, p,
                      x.padded_keys, false);
      AETH_CPU_KERNEL(level_, T, matmul, rows, keys, u, do_tile, u, Index{1}, x.v_transposed, x.padded_keys,
                      ds, x.padded_keys, false);
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
      AETH_CPU_KERNEL(level_, T, matmul, keys, u, rows, p, Index{1}, x.padded_keys, do_tile, u, dv, u, true);
      AETH_CPU_KERNEL(level_, T, matmul, keys, d, rows, ds, Index{1}, x.padded_keys, q_tile, d, dk, d, true);
      AETH_CPU_KERNEL(level_, T, matmul, rows, d, keys, ds, x.padded_keys, Index{1}, x.k, d, dq_tile, d,
                      false);
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
  Index const d = cache.cols;
  for (AttentionSpan const& span : spans)
    parallel(span.queries * heads, [&](Index task, int thread) {
      Index const i = task / heads, head = task % heads, seen = span.keys - span.queries + i + 1;
      Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
      ArenaScope const scope(arena);
      T* const p = arena.take<T>(seen);
      T const* const query = q.row(span.query_begin + i) + head * d;
      T* const out = o.row(span.query_begin + i) + head * latent_dim;
      for (Index j = 0; j < seen; ++j)
        p[j] = AETH_CPU_KERNEL(level_, T, dot, query, cache.row(span.key_begin + j), d);
      T const shift = scale * AETH_CPU_KERNEL(level_, T, largest, p, seen);
      T const sum = AETH_CPU_KERNEL(level_, T, exponential_row, p, p, seen, seen, scale, shift);
      for (Index c = 0; c < latent_dim; ++c) out[c] = T(0);
      for (Index j = 0; j < seen; ++j)
        AETH_CPU_KERNEL(level_, T, add_scaled, out, p[j], cache.row(span.key_begin + j), latent_dim);
      AETH_CPU_KERNEL(level_, T, scale, out, T(1) / sum, out, latent_dim);
    });
}

}  // namespace aeth
