/// The attention cores of the CPU backend in the expanded form: one task per (sequence, head), keys in order, queries in
/// tiles.
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

}  // namespace aeth
