// not self-contained: included by backend/cpu/kernels.hpp once per level, those of BF16 instructions among them, inside
// that level's namespace.

/// `size` codes of whole groups of a packed panel as BF16.
template <class L>
inline void widen_groups(bf16* to, e4m3 const* from, Index size) {
  constexpr Index lead = 2 * matmul_lead * 2 * matmul_panel;
  for (Index i = 0; i < size; i += f8_group) {
    __builtin_prefetch(from + i + lead);
    widen_codes(from + i, to + i);
  }
}

/// What keep_row() left of a row.
template <class L, class X>
inline void restore_row(X* x, e4m3 const* codes, float const* scales, Index size) {
  for (Index j0 = 0; j0 < size; j0 += f8_block) {
    bf16 tile[f8_block];
    Index const width = (aeth::min)(f8_block, size - j0);
    widen_groups<L>(tile, codes + j0, round_up(width, f8_group));
    for_lanes(width, [&](Index j, Index n) {
      store_lanes<L>(load_lanes<L>(tile + j, n) * L::set(scales[j0 / f8_block]), x + j0 + j, n);
    });
  }
}

/// R rows times V · 16 columns of a packed FP8 panel of `width` columns, for few rows: codes are widened in registers and
/// not kept. The same arithmetic as by blocks; see matmul_f8.hpp.
///
/// a_scales, b_scales   one per block of k
template <class L, class P, unsigned R, unsigned V, class Y>
inline void f8_tile(Index depth, bf16 const* a, Index a_row, float const* a_scales, Index a_scale_row,
                    e4m3 const* b, Index width, float const* b_scales, Y* c, Index ldc, bool accumulate) {
  Index const lead = 2 * matmul_lead * 2 * width;  // codes are half as long as BF16
  L sum[R][V];
  AETH_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) sum[r][v] = accumulate ? L::load(c + r * ldc + v * 16) : L::set(0.0f);
  }
  for (Index block = 0, k = 0; k < depth; ++block) {
    L part[R][V];
    AETH_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      AETH_UNROLL
      for (unsigned v = 0; v < V; ++v) part[r][v] = L::set(0.0f);
    }
    auto const step = [&](bf16 const* left_pairs, Index row) {
      decltype(P::right(a)) right[V / 2][2];
      AETH_UNROLL
      for (unsigned v = 0; v < V / 2; ++v) {
        P::right(b + v * f8_group, right[v]);
        __builtin_prefetch(b + v * f8_group + lead);
      }
      AETH_UNROLL
      for (unsigned r = 0; r < R; ++r) {
        auto const left = P::left(left_pairs + r * row);
        AETH_UNROLL
        for (unsigned v = 0; v < V; ++v) part[r][v] = P::add(left, right[v / 2][v % 2], part[r][v]);
      }
      b += 2 * width;
    };
    Index const end = (aeth::min)(k + f8_block, depth);
    for (; k + 2 <= end; k += 2) step(a + k, a_row);
    if (k < end) {
      bf16 last[R][2];
      for (unsigned r = 0; r < R; ++r) {
        last[r][0] = a[r * a_row + k];
        last[r][1] = minus_zero;
      }
      step(last[0], 2);
      ++k;
    }
    AETH_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      L const row_scale = L::set(a_scales[r * a_scale_row + block]), column_scale = L::set(b_scales[block]);
      AETH_UNROLL
      for (unsigned v = 0; v < V; ++v) sum[r][v] = promoted(part[r][v], row_scale, column_scale, sum[r][v]);
    }
  }
  AETH_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) sum[r][v].store(c + r * ldc + v * 16);
  }
}

/// All of a few rows of one panel; columns beyond the last whole vector go through a buffer.
template <class L, class Y>
inline void f8_rows(Index rows, Index columns, Index depth, bf16 const* a, Index a_row, float const* a_scales,
                    Index a_scale_row, e4m3 const* b, Index width, float const* b_scales, Y* c, Index ldc,
                    bool accumulate) {
  using P = PairProduct;
  Y edge[2 * 32];
  auto const strip = [&]<unsigned R>(Index r, std::integral_constant<unsigned, R>) {
    bf16 const* const left = a + r * a_row;
    float const* const scales = a_scales + r * a_scale_row;
    Y* const to = c + r * ldc;
    Index j = 0;
    for (; j + 64 <= columns; j += 64)
      f8_tile<L, P, R, 4>(depth, left, a_row, scales, a_scale_row, b + 2 * j, width, b_scales, to + j, ldc,
                          accumulate);
    for (; j + 32 <= columns; j += 32)
      f8_tile<L, P, R, 2>(depth, left, a_row, scales, a_scale_row, b + 2 * j, width, b_scales, to + j, ldc,
                          accumulate);
    if (j == columns) return;
    for (Index x = 0; x < Index{R} * 32; ++x)
      edge[x] = accumulate && x % 32 < columns - j ? to[x / 32 * ldc + j + x % 32] : Y();
    f8_tile<L, P, R, 2>(depth, left, a_row, scales, a_scale_row, b + 2 * j, width, b_scales, edge, Index{32},
                        accumulate);
    for (Index x = 0; x < Index{R} * 32; ++x)
      if (x % 32 < columns - j) to[x / 32 * ldc + j + x % 32] = edge[x];
  };
  Index r = 0;
  for (; r + 2 <= rows; r += 2) strip(r, std::integral_constant<unsigned, 2>());
  if (r < rows) strip(r, std::integral_constant<unsigned, 1>());
}
