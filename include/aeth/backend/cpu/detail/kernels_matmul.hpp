// not self-contained: included by backend/cpu/kernels.hpp once per SIMD level, inside that level's namespace.
//
// The matrix product that everything else is built on. Each element of C is one chain of fused multiply-adds
// over k in ascending order, begun at 0 or at what C holds: its bits depend on its own row of A and column of
// B only, never on M, N, tiling, threads or SIMD level, and a product continued in a second call equals one
// call.

/// C[R rows, V·16 columns] (+)= A · B. Lanes run along the columns of B and C.
///
/// a_row, a_k   strides of A in elements; b is [k, columns] with rows `ldb` apart
/// columns      valid columns, only looked at when Partial (then V = 1)
template <class L, unsigned R, unsigned V, bool Partial, class T = typename L::Scalar>
inline void matmul_tile(Index k_size, T const* a, Index a_row, Index a_k, T const* b, Index ldb, T* c,
                        Index ldc, Index columns, bool accumulate) {
  L sum[R][V];
  AETH_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) {
      if (!accumulate)
        sum[r][v] = L::set(T(0));
      else if constexpr (Partial)
        sum[r][v] = L::load(c + r * ldc, columns);
      else
        sum[r][v] = L::load(c + r * ldc + v * 16);
    }
  }
  for (Index k = 0; k < k_size; ++k) {
    L right[V];
    AETH_UNROLL
    for (unsigned v = 0; v < V; ++v) {
      if constexpr (Partial)
        right[v] = L::load(b, columns);
      else
        right[v] = L::load(b + v * 16);
    }
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
    for (unsigned v = 0; v < V; ++v) {
      if constexpr (Partial)
        sum[r][v].store(c + r * ldc, columns);
      else
        sum[r][v].store(c + r * ldc + v * 16);
    }
  }
}

/// All rows of one strip of V·16 columns.
template <class L, unsigned V, bool Partial, class T = typename L::Scalar>
inline void matmul_strip(Index rows, Index k_size, T const* a, Index a_row, Index a_k, T const* b, Index ldb,
                         T* c, Index ldc, Index columns, bool accumulate) {
  Index row = 0;
  if constexpr (L::tile_rows > 2)
    for (; row + L::tile_rows <= rows; row += L::tile_rows)
      matmul_tile<L, L::tile_rows, V, Partial>(k_size, a + row * a_row, a_row, a_k, b, ldb, c + row * ldc,
                                               ldc, columns, accumulate);
  for (; row + 2 <= rows; row += 2)
    matmul_tile<L, 2, V, Partial>(k_size, a + row * a_row, a_row, a_k, b, ldb, c + row * ldc, ldc, columns,
                                  accumulate);
  for (; row < rows; ++row)
    matmul_tile<L, 1, V, Partial>(k_size, a + row * a_row, a_row, a_k, b, ldb, c + row * ldc, ldc, columns,
                                  accumulate);
}

/// C[rows, columns] (+)= A · B on one thread. k is cut so that a strip of B stays in the first cache levels;
/// the running sums rest in C between cuts, which changes no bit.
template <class L, class T = typename L::Scalar>
inline void matmul(Index rows, Index columns, Index k_size, T const* a, Index a_row, Index a_k, T const* b,
                   Index ldb, T* c, Index ldc, bool accumulate) {
  constexpr Index k_block = 512;
  constexpr unsigned wide = L::tile_vectors;
  if (k_size == 0 && !accumulate)
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < columns; ++j) c[r * ldc + j] = T(0);
  for (Index k = 0; k < k_size; k += k_block) {
    Index const depth = (aeth::min)(k_block, k_size - k);
    T const* const left = a + k * a_k;
    T const* const right = b + k * ldb;
    bool const add = accumulate || k > 0;
    Index j = 0;
    if constexpr (wide > 1)
      for (; j + wide * 16 <= columns; j += wide * 16)
        matmul_strip<L, wide, false>(rows, depth, left, a_row, a_k, right + j, ldb, c + j, ldc, 0, add);
    for (; j + 16 <= columns; j += 16)
      matmul_strip<L, 1, false>(rows, depth, left, a_row, a_k, right + j, ldb, c + j, ldc, 0, add);
    if (j < columns)
      matmul_strip<L, 1, true>(rows, depth, left, a_row, a_k, right + j, ldb, c + j, ldc, columns - j, add);
  }
}
