/// Attention of the CPU backend over the latent cache: one task per block or group of blocks of keys, for sixteen heads at
/// once. Sums over keys are cut at the same keys however many threads, queries or sequences there are.
#pragma once

#include "aeth/backend/cpu/attention.hpp"

namespace aeth {

namespace cpu {

inline constexpr Index latent_block = 128;   ///< keys of a block
inline constexpr Index latent_group = 4;     ///< blocks whose results are added up before groups are
inline constexpr Index latent_queries = 16;  ///< at once, if their blocks are not too many:
inline constexpr Index latent_parts = 1024;  ///< blocks worked on at once, before rounding to a power of two

/// Softmax over some keys for sixteen heads, before it is divided by its sum: per part and head the largest score, the
/// sum of e^(score − largest), and the so weighted sum of values.
template <class T>
struct LatentParts {
  T *shifts, *sums;  ///< [parts, 16]
  T* values;         ///< [parts, 16, latent_dim]
  Index latent_dim;

  static LatentParts take(Arena& arena, Index parts, Index latent_dim) {
    return {arena.take<T>(parts * 16), arena.take<T>(parts * 16), arena.take<T>(parts * 16 * latent_dim),
            latent_dim};
  }
  static constexpr Index bytes(Index parts, Index latent_dim) {
    return parts * 16 * (latent_dim + 2) * static_cast<Index>(sizeof(T)) +
           3 * static_cast<Index>(buffer_alignment);
  }
  [[nodiscard]] T* value(Index part, Index head) const { return values + (part * 16 + head) * latent_dim; }

  /// Adds up the parts `first`, `first` + `step`, … of one head, in order; the weighted values into `out`, which may be
  /// those of the first part. Returns the largest score and the sum.
  std::pair<T, T> add_up(SimdLevel level, Index head, Index first, Index count, Index step, T* out) const {
    T top = shifts[first * 16 + head], sum = T(0);
    for (Index b = 1; b < count; ++b) top = max(top, shifts[(first + b * step) * 16 + head]);
    for (Index b = 0; b < count; ++b) {
      Index const part = first + b * step;
      T share = shifts[part * 16 + head];
      (void)AETH_CPU_KERNEL(level, T, exponential_row, &share, &share, Index{1}, Index{1}, T(1), top);
      sum = std::fma(share, sums[part * 16 + head], sum);
      if (b == 0)
        AETH_CPU_KERNEL(level, T, scale, out, share, value(part, head), latent_dim);
      else
        AETH_CPU_KERNEL(level, T, add_scaled, out, share, value(part, head), latent_dim);
    }
    return {top, sum};
  }

  /// The same for one group of blocks, into part `to` of `result`.
  void add_up_group(SimdLevel level, Index head, Index first, Index count, LatentParts const& result,
                    Index to) const {
    auto const [top, sum] = add_up(level, head, first, count, Index{1}, result.value(to, head));
    result.shifts[to * 16 + head] = top;
    result.sums[to * 16 + head] = sum;
  }
};

}  // namespace cpu

template <class X, class T>
void Cpu::latent_attention(Index heads, Index latent_dim, T scale, std::vector<AttentionSpan> const& spans,
                           MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o) {
  for (AttentionSpan const& span : spans) {
    Index const blocks = ceil_div(span.keys, cpu::latent_block) * ceil_div(heads, Index{16});
    Index const queries = max(min(cpu::latent_queries, cpu::latent_parts / max(blocks, Index{1})), Index{1});
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
/// runs over heads. A block of keys, counted from the first, has its own largest scores, sums and weighted values; those
/// of a group of blocks are added in order, then those of groups. With a cache in BF16, queries and weights are rounded
/// to it for the products; the sum of weights is of unrounded ones.
///
/// As many whole groups as all threads can share evenly are a task each, so that threads read little of what others
/// wrote; what remains is one task per block.
template <class X, class T>
void Cpu::latent_attention(Index heads, Index latent_dim, T scale, AttentionSpan const& span,
                           MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o) {
  constexpr Index block = cpu::latent_block, group = cpu::latent_group;
  using Parts = cpu::LatentParts<T>;
  Index const d = cache.cols, past = span.keys - span.queries, head_groups = ceil_div(heads, Index{16});
  Index const blocks = ceil_div(span.keys, block), rows = span.queries * head_groups;
  Index const whole = rows >= threads() ? blocks / group : blocks / group / threads() * threads(),
              single = blocks - whole * group;
  // A power of two: while a sequence grows, scratch grows by doubling and not with every block.
  Index const places = power_of_two(blocks);
  Index const query_size = round_up(d, cpu::pair_of<X>) * 16;
  // Steps of k of both products of a block, [block, d] · [d, 16] and [16, block] · [block, latent_dim], by register tiles
  // of six rows, as the wide SIMD levels have them; elsewhere the next block is only prefetched sooner.
  constexpr Index tile = 6;
  Index const steps =
      ceil_div(block, tile) * ceil_div(d, cpu::pair_of<X>) +
      ceil_div(Index{16}, tile) * ceil_div(latent_dim, cpu::matmul_panel) * (block / cpu::pair_of<X>);
  ArenaScope const outer(scratch_);
  X* const queries = scratch_.take<X>(rows * query_size);
  Parts const all = Parts::take(scratch_, rows * places, latent_dim);
  parallel(rows, [&](Index row, int) {
    Index const first = row % head_groups * 16, count = min(Index{16}, heads - first);
    cpu::pack_columns<T>(level_, queries + row * query_size, Index{16},
                         q.row(span.query_begin + row / head_groups) + first * d, d, count, d);
  });
  auto const keys_of = [&](Index row) { return past + row / head_groups + 1; };
  for (Arena& arena : thread_scratch_)
    arena.reserve((cpu::matmul_scratch + 2 * block * 16 + 16) * static_cast<Index>(sizeof(T)) +
                  Parts::bytes(group, latent_dim));
  /// One block into part `to`; `next`: the key from which this thread probably reads after it.
  auto const run_block = [&](Index row, Index key, Index next, Arena& arena, Parts const& parts, Index to) {
    Index const seen = min(block, keys_of(row) - key);
    ArenaScope const scope(arena);
    T* const scratch = arena.take<T>(cpu::matmul_scratch);
    T* const scores = arena.take<T>(block * 16);
    X* const weights = cpu::operands_for<X>(arena, scores, block * 16);
    T* const shift = parts.shifts + to * 16;
    X const* const rows_of_cache = cache.row(span.key_begin + key);
    // Products read a few short rows at a time, which hardware does not foresee.
    cpu::Ahead ahead;
    if (next < span.keys)
      ahead = cpu::Ahead::of(cache.row(span.key_begin + next), min(block, span.keys - next) * cache.stride,
                             steps);
    cpu::matmul(level_, seen, Index{16}, d, cpu::LeftMatrix<X>{rows_of_cache, cache.stride},
                cpu::RightMatrix<X>{queries + row * query_size, Index{16}, Index{0}}, scores, Index{16},
                false, scratch, ahead);
    AETH_CPU_KERNEL(level_, T, largest_lanes, shift, scores, seen);
    for (Index h = 0; h < 16; ++h) shift[h] *= scale;
    AETH_CPU_KERNEL(level_, T, exponential_lanes, weights, scores, seen, scale, shift, parts.sums + to * 16);
    cpu::matmul(level_, Index{16}, latent_dim, seen, cpu::LeftMatrix<X>{weights, Index{16}, true},
                cpu::RightMatrix<X>{rows_of_cache, cache.stride}, parts.value(to, 0), latent_dim, false,
                scratch, ahead);
  };
  parallel(rows * (whole + single), [&](Index task, int thread) {
    Arena& arena = thread_scratch_[static_cast<std::size_t>(thread)];
    if (task >= rows * whole) {
      Index const at = task - rows * whole, row = at / single, b = whole * group + at % single;
      if (b * block < keys_of(row))
        run_block(row, b * block, (b + threads()) * block, arena, all, row * places + b);
      return;
    }
    Index const row = task / whole, first = task % whole * group;
    Index const used = min(group, ceil_div(keys_of(row), block) - first);
    if (used <= 0) return;
    ArenaScope const scope(arena);
    Parts const own = Parts::take(arena, group, latent_dim);
    for (Index b = 0; b < used; ++b) {
      Index const next = b + 1 < used ? first + b + 1 : first + threads() * group;
      run_block(row, (first + b) * block, next * block, arena, own, b);
    }
    for (Index head = 0; head < 16; ++head)
      own.add_up_group(level_, head, Index{0}, used, all, row * places + first);
  });
  auto const finish = [&](Index task, int) {
    Index const query = task / heads, head = task % heads, row = query * head_groups + head / 16;
    Index const part = row * places, used = ceil_div(keys_of(row), block), lane = head % 16;
    for (Index b = whole * group; b < used; b += group)
      all.add_up_group(level_, lane, part + b, min(group, used - b), all, part + b);
    T* const out = o.row(span.query_begin + query) + head * latent_dim;
    T const sum = all.add_up(level_, lane, part, ceil_div(used, group), group, out).second;
    AETH_CPU_KERNEL(level_, T, scale, out, T(1) / sum, out, latent_dim);
  };
  // Waking other threads takes longer than adding up two parts.
  if (rows == 1 && whole + single <= 2)
    for (Index head = 0; head < heads; ++head) finish(head, 0);
  else
    parallel(span.queries * heads, finish);
}

}  // namespace aeth
