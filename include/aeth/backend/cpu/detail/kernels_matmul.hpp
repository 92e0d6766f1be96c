// not self-contained: included by backend/cpu/kernels.hpp once per SIMD level, inside that level's namespace.
//
// The matrix product that everything else is built on. Each element of C is one chain of fused multiply-adds
// over k in ascending order, begun at 0 or at what C holds: its bits depend on its own row of A and column of
// B only, never on M, N, tiling, threads or SIMD level, and a product continued in a second call equals one
// call.

/// C[R rows, V·16 columns] (+)= A · B. Lanes run along the columns of B and C.
///
/// a_row, a_k   strides of A in elements; b is [k, columns] with rows `ldb` apart
template <class L, unsigned R, unsigned V, class T = typename L::Scalar>
inline void matmul_tile(Index k_size, T const* a, Index a_row, Index a_k, T const* b, Index ldb, T* c,
                        Index ldc, bool accumulate) {
  L sum[R][V];
  AETH_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) sum[r][v] = accumulate ? L::load(c + r * ldc + v * 16) : L::set(T(0));
  }
  for (Index k = 0; k < k_size; ++k) {
    L right[V];
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) right[v] = L::load(b + v * 16);
    AETH_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      L const left = L::set(a[r * a_row]);
      AETH_UNROLL
      for (unsigned v = 0; v < V; ++v) sum[r][v] = fma(left, right[v], sum[r][v]);
    }
    a += a_k;
    b += ldb;
  }
  AETH_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) sum[r][v].store(c + r * ldc + v * 16);
  }
}

/// A's rows as register tiles read them: element (r, k) of a tile at tile[r · row + k · k_step], tiles `tile` apart.
template <class T>
struct LeftRows {
  T const* data;
  Index row, k_step, tile;
};

/// All rows of one strip of V·16 columns.
template <class L, unsigned V, class T = typename L::Scalar>
inline void matmul_strip(Index rows, Index k_size, LeftRows<T> a, T const* b, Index ldb, T* c, Index ldc,
                         bool accumulate) {
  constexpr unsigned most = L::tile_rows;
  // A small tile waits for B more than it computes: eight rows take less time as 4 + 4 than as 6 + 2.
  Index full = rows / most * most;
  if (most == 6 && rows - full == 2 && full > 0 && a.tile == most * a.row) full -= most;
  Index row = 0;
  if constexpr (most > 2)
    for (; row < full; row += most, a.data += a.tile)
      matmul_tile<L, most, V>(k_size, a.data, a.row, a.k_step, b, ldb, c + row * ldc, ldc, accumulate);
  if constexpr (most > 4)
    for (; row + 4 <= rows; row += 4, a.data += 4 * a.row)
      matmul_tile<L, 4, V>(k_size, a.data, a.row, a.k_step, b, ldb, c + row * ldc, ldc, accumulate);
  for (; row + 2 <= rows; row += 2, a.data += 2 * a.row)
    matmul_tile<L, 2, V>(k_size, a.data, a.row, a.k_step, b, ldb, c + row * ldc, ldc, accumulate);
  for (; row < rows; ++row, a.data += a.row)
    matmul_tile<L, 1, V>(k_size, a.data, a.row, a.k_step, b, ldb, c + row * ldc, ldc, accumulate);
}

/// Tiles of A, whose rows lie side by side, one after another in `to`: contiguous in k, then in rows.
template <Index Tile, class T>
inline LeftRows<T> copy_left(T* to, LeftRows<T> a, Index rows, Index depth) {
  Index const step = Tile * depth + 16;  // no power of two, which would send all tiles to the same cache sets
  for (Index k = 0; k < depth; ++k) {
    T const* const from = a.data + k * a.k_step;
    T* column = to + k * Tile;
    Index r = 0;
    for (; r + Tile <= rows; r += Tile, column += step) std::memcpy(column, from + r, sizeof(T) * Tile);
    for (; r < rows; ++r, ++column) *column = from[r];
  }
  return {to, 1, Tile, step};
}

/// A panel of B, with zeros up to a whole vector. Its rows lie on different pages, where hardware does not prefetch.
template <class T>
inline void copy_right(T* to, T const* b, Index ldb, Index depth, Index columns) {
  constexpr Index panel = matmul_panel, ahead = 12, line = 64 / static_cast<Index>(sizeof(T));
  for (Index k = 0; k < depth; ++k, b += ldb, to += panel) {
    if (k + ahead < depth)
      for (Index j = 0; j < columns; j += line) __builtin_prefetch(b + ahead * ldb + j);
    if (columns == panel) {
      std::memcpy(to, b, sizeof(T) * panel);
    } else {
      for (Index j = 0; j < round_up(columns, Index{16}); ++j) to[j] = j < columns ? b[j] : T(0);
    }
  }
}

/// C[rows, columns] (+)= A · B on one thread. k is cut so that a strip of B stays in the first cache levels;
/// the running sums rest in C between cuts, which changes no bit. Columns of A, and strips of B whose elements
/// lie far apart, are copied together before they are used many times.
///
/// ldb, b_panel   distances of B's rows, and of its panels of 64 columns: 64 if it is row-major. Rows of other panels are
///                readable in whole vectors.
/// scratch        matmul_scratch elements
template <class L, class T = typename L::Scalar>
inline void matmul(Index rows, Index columns, Index k_size, T const* a, Index a_row, Index a_k, T const* b,
                   Index ldb, Index b_panel, T* c, Index ldc, bool accumulate, T* scratch) {
  constexpr Index tile = L::tile_rows, panel = matmul_panel;
  T* const copied_b = scratch + matmul_k_block * matmul_rows + matmul_rows * 4;
  T* const edge = copied_b + matmul_k_block * panel;
  if (k_size == 0 && !accumulate)
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < columns; ++j) c[r * ldc + j] = T(0);
  for (Index r0 = 0; r0 < rows; r0 += matmul_rows) {
    Index const height = (aeth::min)(matmul_rows, rows - r0);
    for (Index k = 0; k < k_size; k += matmul_k_block) {
      Index const depth = (aeth::min)(matmul_k_block, k_size - k);
      LeftRows<T> left{a + r0 * a_row + k * a_k, a_row, a_k, tile * a_row};
      if (tile > 2 && a_row == 1 && a_k > panel) left = copy_left<tile>(scratch, left, height, depth);
      bool const add = accumulate || k > 0;
      for (Index j0 = 0; j0 < columns; j0 += panel) {
        Index const width = (aeth::min)(panel, columns - j0), whole = width / 16 * 16;
        Index right_step = ldb;
        T const* right = b + k * ldb + j0 / panel * b_panel;
        if (b_panel == panel && (whole < width || (ldb >= 4 * panel && height > 4 * tile))) {
          copy_right(copied_b, right, ldb, depth, width);
          right = copied_b;
          right_step = panel;
        }
        T* const to = c + r0 * ldc + j0;
        constexpr Index wide = L::tile_vectors * 16;
        Index j = 0;
        if constexpr (wide > 16)
          for (; j + wide <= whole; j += wide)
            matmul_strip<L, L::tile_vectors>(height, depth, left, right + j, right_step, to + j, ldc, add);
        for (; j < whole; j += 16)
          matmul_strip<L, 1>(height, depth, left, right + j, right_step, to + j, ldc, add);
        if (whole == width) continue;
        if (add)
          for (Index r = 0; r < height; ++r)
            for (Index x = whole; x < width; ++x) edge[r * 16 + x - whole] = to[r * ldc + x];
        matmul_strip<L, 1>(height, depth, left, right + whole, right_step, edge, Index{16}, add);
        for (Index r = 0; r < height; ++r)
          for (Index x = whole; x < width; ++x) to[r * ldc + x] = edge[r * 16 + x - whole];
      }
    }
  }
}
