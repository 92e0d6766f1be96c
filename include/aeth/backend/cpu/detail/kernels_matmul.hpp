// not self-contained: included by backend/cpu/kernels.hpp once per SIMD level, inside that level's namespace.
//
// The matrix product that everything else is built on. Each element of C is one chain of fused multiply-adds,
// begun at 0 or at what C holds: its bits depend on its own row of A and column of B only, never on M, N, tiling,
// threads or SIMD level. A product continued in a second call equals one call, but for BF16 given by rows and cut
// inside a pair, and for results that are rounded in between.
//
// Operands in the accumulator's type go through k in ascending order. Operands in BF16 go through it two at a time,
// as the dot-product instruction does: the odd element of a pair first, subnormal operands and sums counting as
// zero. Where A is given by columns (k are tokens then), pairs are stored the other way round, so that the chain
// ascends and a product may be cut at any k.

/// How a product over operands of type X computes; `step` elements of k at once. See PairProduct for BF16.
template <class L, class X>
struct Product {
  using Sum = L;
  static constexpr Index step = 1;
  using Left = X;  ///< in which elements of A are read
  /// Rows of a register tile, and vectors in each of them.
  static constexpr unsigned rows = L::tile_rows, vectors = L::tile_vectors;
  static L left(X const* a) { return L::set(*a); }
  static L right(X const* b) { return L::load(b); }
  static L add(L a, L b, L sum) { return fma(a, b, sum); }
};
template <class L>
struct Product<L, bf16> : PairProduct {};

/// C[R rows, V·16 columns] (+)= A · B. Lanes run along the columns of B and C.
///
/// a_row, a_step   from one row of A to the next, from one step of k to the next, in elements
/// b_step          the same for B
/// lead            in elements of B, from what a step reads to what it prefetches; 0: nothing
/// ahead           prefetched on the way
/// scales          if there are any, the sum begins at 0 and is promoted
template <class P, unsigned R, unsigned V, class T, class X>
inline void matmul_tile(Index steps, typename P::Left const* a, Index a_row, Index a_step, X const* b,
                        Index b_step, Index lead, T* c, Index ldc, bool accumulate, Ahead& ahead,
                        F8TileScales const& scales) {
  using L = typename P::Sum;
  char const* soon = ahead.begin ? ahead.begin : reinterpret_cast<char const*>(c);
  Index const soon_step = ahead.take(steps);
  L sum[R][V];
  AETH_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) {
      sum[r][v] = accumulate && !scales.rows ? L::load(c + r * ldc + v * 16) : L::set(T(0));
      // The tile below comes next, and C may be far away.
      __builtin_prefetch(c + (R + r) * ldc + v * 16, 1);
    }
  }
  for (Index k = 0; k < steps; ++k) {
    decltype(P::right(b)) right[V];
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) right[v] = P::right(b + v * 16 * P::step);
    if (lead != 0) {
      AETH_UNROLL
      for (unsigned v = 0; v < V; ++v) __builtin_prefetch(b + v * 16 * P::step + lead);
    }
    AETH_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      auto const left = P::left(a + r * a_row);
      AETH_UNROLL
      for (unsigned v = 0; v < V; ++v) sum[r][v] = P::add(left, right[v], sum[r][v]);
    }
    __builtin_prefetch(soon);
    soon += soon_step;
    a += a_step;
    b += b_step;
  }
  if constexpr (P::step == 2)
    if (scales.rows) {
      AETH_UNROLL
      for (unsigned r = 0; r < R; ++r) {
        L const row_scale = L::set(scales.rows[r * scales.row_step]);
        AETH_UNROLL
        for (unsigned v = 0; v < V; ++v) {
          T* const to = c + r * ldc + v * 16;
          L const before = accumulate ? L::load(to) : L::set(T(0));
          sum[r][v] = promoted(sum[r][v], row_scale, L::load(scales.columns + v * 16), before);
        }
      }
    }
  AETH_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) sum[r][v].store(c + r * ldc + v * 16);
  }
}

/// A's rows as register tiles read them, in groups of matmul_group: element of row r, step k at at(r)[k · step].
template <class X>
struct LeftTiles {
  X const* data;
  Index row, step, group;  ///< distances

  [[nodiscard]] X const* at(Index r) const {
    return data + r / matmul_group * group + r % matmul_group * row;
  }
  /// Whether rows of different groups are as far apart as those of one.
  [[nodiscard]] bool even() const { return group == matmul_group * row; }
};

/// All rows of one strip of V·16 columns. The first tile prefetches B as `lead` says, and those after it find it near.
template <class P, unsigned V, class T, class X>
inline void matmul_strip(Index rows, Index steps, LeftTiles<typename P::Left> a, X const* b, Index b_step,
                         Index lead, T* c, Index ldc, bool accumulate, Ahead& ahead,
                         F8TileScales const& scales) {
  constexpr unsigned most = P::rows;
  static_assert(matmul_group % most == 0);
  // A small tile waits for B more than it computes: eight rows take less time as 4 + 4 than as 6 + 2.
  Index full = rows / most * most;
  if (most == 6 && rows - full == 2 && full > 0 && (a.even() || full % matmul_group != 0)) full -= most;
  // Between blocks of codes a tile of C stays in the first cache level.
  Index const block = scales.rows ? f8_block / P::step : steps;
  auto const tile = [&]<unsigned R>(Index row, std::integral_constant<unsigned, R>) {
    for (Index k = 0, n = 0; k < steps; k += block, ++n)
      matmul_tile<P, R, V>((aeth::min)(block, steps - k), a.at(row) + k * a.step, a.row, a.step,
                           b + k * b_step, b_step, row == 0 ? lead : 0, c + row * ldc, ldc,
                           accumulate || n > 0, ahead, scales.at(row, 0, n));
  };
  Index row = 0;
  for (; row < full; row += most) tile(row, std::integral_constant<unsigned, most>());
  if constexpr (most > 4)
    for (; row + 4 <= rows; row += 4) tile(row, std::integral_constant<unsigned, 4>());
  if constexpr (most > 2)
    for (; row + 2 <= rows; row += 2) tile(row, std::integral_constant<unsigned, 2>());
  for (; row < rows; ++row) tile(row, std::integral_constant<unsigned, 1>());
}

/// A, given by columns, in groups of rows one after another in `to`: in each, all rows of a step lie together.
template <class L, class X, class Left>
inline LeftTiles<Left> copy_columns(Left* to, X const* from, Index from_stride, Index rows, Index depth) {
  constexpr Index step = Product<L, X>::step, group = matmul_group;
  Index const steps = ceil_div(depth, step);
  for (Index r = 0; r < rows; r += group) {
    Index const count = (aeth::min)(group, rows - r);
    Left* line = to + r * step * steps;
    for (Index k = 0; k < steps; ++k, line += group * step) {
      X const* const first = from + k * step * from_stride + r;
      if constexpr (step == 2) {
        X const* const second = k * step + 1 < depth ? first + from_stride : nullptr;
        if constexpr (std::is_same_v<Left, X>) {
          store_pairs<L>(second, first, count, line, minus_zero);
        } else {
          X pairs[2 * group];
          store_pairs<L>(second, first, count, pairs, minus_zero);
          copy_rows<L>(line, Index{0}, pairs, Index{0}, Index{1}, 2 * count);
        }
      } else {
        for_lanes(count, [=](Index i, Index n) { load_lanes<L>(first + i, n).store(line + i); });
      }
    }
  }
  return {to, step, group * step, group * step * steps};
}

/// Rows of BF16 elements, an odd number of them completed to pairs, perhaps widened.
template <class L, class X, class Left>
inline LeftTiles<Left> copy_pair_rows(Left* to, X const* from, Index from_stride, Index rows, Index depth) {
  Index const row = round_up(depth, Index{2});
  copy_rows<L>(to, row, from, from_stride, rows, depth);
  if (depth < row)
    for (Index r = 0; r < rows; ++r) to[r * row + depth] = static_cast<Left>(minus_zero);
  return {to, row, 2, matmul_group * row};
}

/// A[rows, depth] as register tiles read it: where it lies, or copied to `to`.
template <class L, class X, class Left = typename Product<L, X>::Left>
inline LeftTiles<Left> left_tiles(LeftMatrix<X> a, Index rows, Index depth, Left* to) {
  using P = Product<L, X>;
  constexpr bool pairs = P::step == 2, widens = !std::is_same_v<Left, X>;
  if (a.columns) {
    if (pairs || (P::rows > 2 && a.stride > matmul_panel))
      return copy_columns<L>(to, a.data, a.stride, rows, depth);
  } else if constexpr (pairs) {
    if (widens || depth % 2 != 0) return copy_pair_rows<L>(to, a.data, a.stride, rows, depth);
  }
  if constexpr (widens) {
    return {};  // not reached: pairs are copied
  } else {
    Index const row = a.columns ? 1 : a.stride;
    return {a.data, row, a.columns ? a.stride : P::step, matmul_group * row};
  }
}

/// Row-major B [depth, columns] as products read a panel: `width` columns, a multiple of 16, with zeros after the
/// last. Its rows lie on different pages, where hardware does not prefetch.
///
/// ascending   see the top of this file
template <class L, class X, class B>
inline void copy_rows_of_panel(X* to, Index width, B const* b, Index ldb, Index depth, Index columns,
                               bool ascending) {
  constexpr Index step = Product<L, X>::step, ahead = 12, line = 64 / static_cast<Index>(sizeof(B));
  for (Index k = 0; k < depth; k += step, b += step * ldb, to += step * width) {
    if (k + ahead < depth)
      for (Index row = ahead; row < ahead + step; ++row)
        for (Index j = 0; j < columns; j += line) __builtin_prefetch(b + row * ldb + j);
    if constexpr (step == 2) {
      B const *low = b, *high = k + 1 < depth ? b + ldb : nullptr;
      if (ascending) std::swap(low, high);
      store_pairs<L>(low, high, columns, to, bf16());
    } else {
      for_lanes(columns, [=](Index j, Index n) { load_lanes<L>(b + j, n).store(to + j); });
    }
    for (Index j = round_up(columns, Index{16}) * step; j < width * step; ++j) to[j] = X();
  }
}

/// C[rows, columns] (+)= A · B on one thread. k is cut so that a panel of B stays in the first cache levels; the
/// running sums rest in C between cuts, which changes no bit. Columns of A, and panels of B whose elements lie far
/// apart, are copied together before they are used many times.
///
/// c         in the accumulator's type T, or narrower: then columns ≤ 64, and sums rest in scratch until they are
///           rounded once
/// scratch   matmul_scratch elements
/// ahead     read after this product; prefetched with the last part of k, or with all if B is not a packed panel
/// scales    of BF16 operands that are FP8 codes, C of floats: the sum over each block of k is promoted
template <class L, class X, class Y, class T = typename L::Scalar>
inline void matmul(Index rows, Index columns, Index depth, LeftMatrix<X> a, RightMatrix<X> b, Y* c, Index ldc,
                   bool accumulate, T* scratch, Ahead& ahead, F8TileScales const& scales = {}) {
  using P = Product<L, X>;
  using Left = typename P::Left;
  constexpr Index tile = P::rows, panel = matmul_panel, step = P::step;
  constexpr Index k_block = matmul_k_block * (std::is_same_v<Left, X> ? step : Index{1});
  static_assert(k_block % f8_block == 0);
  Left* const copied_a = reinterpret_cast<Left*>(scratch);
  X* const copied_b = reinterpret_cast<X*>(scratch + matmul_copied_a);
  T* const edge = scratch + matmul_copied_a + matmul_copied_b;
  T* const wide_c = edge + matmul_rows * 16;
  for (Index r0 = 0; r0 < rows; r0 += matmul_rows) {
    Index const height = (aeth::min)(matmul_rows, rows - r0);
    T* out;
    Index out_row = ldc;
    if constexpr (std::is_same_v<T, Y>) {
      out = c + r0 * ldc;
    } else {
      out = wide_c;
      out_row = panel;
      if (accumulate) copy_rows<L>(out, out_row, c + r0 * ldc, ldc, height, columns);
    }
    if (depth == 0 && !accumulate)
      for (Index r = 0; r < height; ++r)
        for (Index j = 0; j < columns; ++j) out[r * out_row + j] = T(0);
    for (Index k = 0; k < depth; k += k_block) {
      Index const part = (aeth::min)(k_block, depth - k), steps = ceil_div(part, step);
      LeftMatrix<X> const own_a{a.data + (a.columns ? r0 + k * a.stride : r0 * a.stride + k), a.stride,
                                a.columns};
      LeftTiles<Left> const left = left_tiles<L>(own_a, height, part, copied_a);
      F8TileScales const by = scales.at(r0, 0, k / f8_block);
      bool const add = accumulate || k > 0;
      // A packed panel is read once from far away: its next part comes while this one is used.
      Index const rest = depth - k - part;
      bool const own =
          rest > 0 && b.panel != panel && !scales.rows && b.stride == panel && height >= matmul_ahead_rows;
      Ahead next_part;
      if (own) next_part = Ahead::of(b.data + (k + part) * b.stride, (aeth::min)(k_block, rest) * b.stride);
      Ahead& soon = own ? next_part : ahead;
      for (Index j0 = 0; j0 < columns; j0 += panel) {
        Index const width = (aeth::min)(panel, columns - j0), whole = width / 16 * 16;
        Index right_step = step * panel;
        X const* right = copied_b;
        if (b.panel == panel &&
            (step == 2 || whole < width || (b.stride >= 4 * panel && height > 4 * tile))) {
          copy_rows_of_panel<L>(copied_b, panel, b.data + k * b.stride + j0, b.stride, part, width,
                                a.columns);
        } else {
          right = b.data + k * b.stride + j0 / panel * b.panel;
          right_step = step * b.stride;
        }
        // Only packed weights are far away: rows of B were copied or stay near, codes were widened.
        bool const streamed = b.panel != panel && !scales.rows && height < matmul_ahead_rows;
        Index const lead = streamed ? matmul_lead * right_step : 0;
        T* const to = out + j0;
        constexpr Index wide = P::vectors * 16;
        Index j = 0;
        if constexpr (wide > 16)
          for (; j + wide <= whole; j += wide)
            matmul_strip<P, P::vectors>(height, steps, left, right + j * step, right_step, lead, to + j,
                                        out_row, add, soon, by.at(0, j0 + j));
        for (; j < whole; j += 16)
          matmul_strip<P, 1>(height, steps, left, right + j * step, right_step, lead, to + j, out_row, add,
                             soon, by.at(0, j0 + j));
        if (whole == width) continue;
        if (add)
          for (Index r = 0; r < height; ++r)
            for (Index x = whole; x < width; ++x) edge[r * 16 + x - whole] = to[r * out_row + x];
        float edge_scales[to_size(k_block / f8_block * 16)];
        F8TileScales edge_by = by;
        if (scales.rows) {
          for (Index n = 0; n < ceil_div(part, f8_block); ++n)
            for (Index x = 0; x < 16; ++x)
              edge_scales[n * 16 + x] =
                  whole + x < width ? by.columns[n * by.column_block + j0 + whole + x] : 0;
          edge_by.columns = edge_scales;
          edge_by.column_block = 16;
        }
        matmul_strip<P, 1>(height, steps, left, right + whole * step, right_step, lead, edge, Index{16}, add,
                           soon, edge_by);
        for (Index r = 0; r < height; ++r)
          for (Index x = whole; x < width; ++x) to[r * out_row + x] = edge[r * 16 + x - whole];
      }
    }
    if constexpr (!std::is_same_v<T, Y>) copy_rows<L>(c + r0 * ldc, ldc, out, out_row, height, columns);
  }
}
