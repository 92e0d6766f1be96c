// not self-contained: included by backend/cpu/kernels.hpp once per SIMD level, inside that level's namespace.
//
// What products of FP8 operands need around the products of their codes: rounding to E4M3 with one scale per tile,
// the way to and from codes, and the promotion of sums. Codes are computed with as BF16, which has all values of
// E4M3.

/// The value of E4M3 next to each x, ties to even; NaN stays NaN. Magnitudes are 464 at most: the largest one of a tile is its
/// scale times 448 at most, but for rounding.
template <class L>
inline L round_to_e4m3(L x) {
  // Added to a number that is so much larger, x keeps three bits below its leading one, and none below 2^-9.
  L const large = L::set(0x1.8p20f) * (max)(power_of_two_below(x), L::set(0x1p-6f));
  return (x + large) - large;
}

/// The largest magnitude of x, NaN if there is a number that is not finite.
template <class L, class X>
inline float largest_magnitude(X const* x, Index stride, Index rows, Index columns) {
  L most = L::set(0.0f);
  for (Index r = 0; r < rows; ++r)
    for_lanes(columns, [&](Index j, Index n) {
      most = max_magnitude(abs(load_lanes<L>(x + r * stride + j, n)), most);
    });
  float const largest = reduce_max_magnitude(most);
  return largest + largest * 0.0f;  // an infinity becomes NaN
}

/// A whole tile of a row, x [f8_block], read once: its codes [f8_block] in BF16, and its scale, which is returned and is NaN if
/// a number is not finite.
template <class L, class X>
inline float quantize_tile(bf16* codes, X const* x, ScaleForm form) {
  constexpr unsigned vectors = f8_block / 16;
  static_assert(vectors % 2 == 0);
  L part[vectors], most[2] = {L::set(0.0f), L::set(0.0f)};
  AETH_UNROLL
  for (unsigned v = 0; v < vectors; ++v) {
    part[v] = L::load(x + 16 * v);
    most[v % 2] = max_magnitude(abs(part[v]), most[v % 2]);
  }
  float const largest = reduce_max_magnitude(max_magnitude(most[0], most[1])),
              scale = f8_tile_scale(largest + largest * 0.0f, form);
  L const by = L::set(scale);
  AETH_UNROLL
  for (unsigned v = 0; v < vectors; v += 2)
    store_exact(round_to_e4m3(part[v] / by), round_to_e4m3(part[v + 1] / by), codes + 16 * v);
  return scale;
}

/// One row, whose tiles of f8_block columns have those scales [⌈size / f8_block⌉], as codes [size] in BF16.
template <class L, class X>
inline void round_row(bf16* codes, float const* scales, X const* x, Index size) {
  for (Index j0 = 0; j0 < size; j0 += f8_block) {
    L const scale = L::set(scales[j0 / f8_block]);
    for_lanes((aeth::min)(f8_block, size - j0), [&](Index j, Index n) {
      store_lanes<L>(round_to_e4m3(load_lanes<L>(x + j0 + j, n) / scale), codes + j0 + j, n);
    });
  }
}

/// The same with scales of its own, which are stored.
template <class L, class X>
inline void quantize_row(bf16* codes, float* scales, X const* x, Index size, ScaleForm form) {
  Index j = 0;
  for (; j + f8_block <= size; j += f8_block) scales[j / f8_block] = quantize_tile<L>(codes + j, x + j, form);
  if (j == size) return;
  scales[j / f8_block] = f8_tile_scale(largest_magnitude<L>(x + j, Index{0}, Index{1}, size - j), form);
  round_row<L>(codes + j, scales + j / f8_block, x + j, size - j);
}

/// At most f8_block rows, each column a tile: its scale.
template <class L, class X>
inline void column_scales(float* scales, X const* x, Index stride, Index rows, Index columns,
                          ScaleForm form) {
  auto const store = [&](L most, Index j, Index n) {
    L const scale = (max)(most, L::set(f8_least_magnitude)) / L::set(e4m3::largest);
    store_lanes(fma(most, L::set(0.0f), scale), scales + j, n);  // NaN where `most` is not finite
  };
  // Several vectors of columns at once: their rows are read cache line by cache line.
  constexpr unsigned vectors = 4;
  Index whole = 0;
  for (; whole + vectors * 16 <= columns; whole += vectors * 16) {
    L most[vectors];
    AETH_UNROLL
    for (unsigned v = 0; v < vectors; ++v) most[v] = L::set(0.0f);
    for (Index r = 0; r < rows; ++r) {
      AETH_UNROLL
      for (unsigned v = 0; v < vectors; ++v)
        most[v] = max_magnitude(abs(L::load(x + r * stride + whole + 16 * v)), most[v]);
    }
    AETH_UNROLL
    for (unsigned v = 0; v < vectors; ++v) store(most[v], whole + 16 * v, Index{16});
  }
  for_lanes(columns - whole, [&](Index j, Index n) {
    L most = L::set(0.0f);
    for (Index r = 0; r < rows; ++r)
      most = max_magnitude(abs(load_lanes<L>(x + r * stride + whole + j, n)), most);
    store(most, whole + j, n);
  });
  if (form == ScaleForm::power_of_two)
    for (Index j = 0; j < columns; ++j) scales[j] = static_cast<float>(e8m0::at_least(scales[j]));
}

/// Rows of which column j has the scale scales[j], as codes [rows, columns] in BF16.
template <class L, class X>
inline void round_columns(bf16* codes, Index to_stride, float const* scales, X const* x, Index stride,
                          Index rows, Index columns) {
  constexpr unsigned vectors = 4;
  Index whole = 0;
  for (; whole + vectors * 16 <= columns; whole += vectors * 16) {
    L scale[vectors];
    AETH_UNROLL
    for (unsigned v = 0; v < vectors; ++v) scale[v] = L::load(scales + whole + 16 * v);
    for (Index r = 0; r < rows; ++r) {
      X const* const from = x + r * stride + whole;
      AETH_UNROLL
      for (unsigned v = 0; v < vectors; v += 2)
        store_exact(round_to_e4m3(L::load(from + 16 * v) / scale[v]),
                    round_to_e4m3(L::load(from + 16 * v + 16) / scale[v + 1]),
                    codes + r * to_stride + whole + 16 * v);
    }
  }
  for_lanes(columns - whole, [&](Index j, Index n) {
    L const scale = load_lanes<L>(scales + whole + j, n);
    for (Index r = 0; r < rows; ++r)
      store_lanes<L>(round_to_e4m3(load_lanes<L>(x + r * stride + whole + j, n) / scale),
                     codes + r * to_stride + whole + j, n);
  });
}

/// Codes of BF16 numbers, in groups as packed panels have them.
template <class L>
inline void store_groups(bf16 const* from, e4m3* to, Index size) {
  for (Index i = 0; i < size; i += f8_group) {
    e4m3 codes[f8_group];
    for (Index j = 0; j < f8_group; j += 16) store_codes(L::load(from + i + j), codes + j);
    for (Index j = 0; j < f8_group; j += 8) std::memcpy(to + i + f8_place(j), codes + j, 8);
  }
}

/// A row in tiles of f8_block columns: codes [size rounded up to a group] and scales.
template <class L, class X>
inline void keep_row(e4m3* codes, float* scales, X const* x, Index size, ScaleForm form) {
  for (Index j = 0; j < size; j += f8_block) {
    alignas(64) bf16 tile[f8_block] = {};
    Index const width = (aeth::min)(f8_block, size - j);
    quantize_row<L>(tile, scales + j / f8_block, x + j, width, form);
    store_groups<L>(tile, codes + j, round_up(width, f8_group));
  }
}

/// w [rows, columns], of one scale, as codes of a packed panel: transposed, pairs of columns interleaved, `width` ≥ rows
/// places for each. At most matmul_panel rows and f8_block columns.
template <class L, class X>
inline void pack_codes(e4m3* to, Index width, X const* w, Index stride, Index rows, Index columns,
                       float scale) {
  bf16 lines[matmul_panel * f8_block];
  alignas(64) bf16 pairs[matmul_panel * f8_block] = {};
  for (Index r = 0; r < rows; ++r)
    for_lanes(columns, [&](Index j, Index n) {
      store_lanes<L>(round_to_e4m3(load_lanes<L>(w + r * stride + j, n) / L::set(scale)),
                     lines + r * f8_block + j, n);
    });
  transpose_pairs<L>(pairs, width, lines, f8_block, rows, columns);
  store_groups<L>(pairs, to, round_up(columns, Index{2}) * width);
}

/// The same of w given as [columns, rows].
template <class L, class X>
inline void pack_codes_transposed(e4m3* to, Index width, X const* w, Index stride, Index rows, Index columns,
                                  float scale) {
  bf16 lines[2][matmul_panel];
  alignas(64) bf16 pairs[2 * matmul_panel] = {};
  for (Index k = 0; k < columns; k += 2, to += 2 * width) {
    for (Index part = 0; part < 2 && k + part < columns; ++part)
      for_lanes(rows, [&](Index j, Index n) {
        store_lanes<L>(round_to_e4m3(load_lanes<L>(w + (k + part) * stride + j, n) / L::set(scale)),
                       lines[part] + j, n);
      });
    store_pairs<L>(lines[0], k + 1 < columns ? lines[1] : nullptr, rows, pairs, bf16());
    store_groups<L>(pairs, to, 2 * width);
  }
}

/// sum + part · (a · b): what a block of FP8 codes, whose scales are a and b, adds. Like the products it takes subnormal
/// numbers for zero, here because FlushSubnormals is in force.
template <class L>
inline L promoted(L part, L a, L b, L sum) {
  return fma(part, a * b, sum);
}

/// c (+)= part · scale, element by element; without scales they are 1.
template <class L>
inline void promote(float* c, Index ldc, float const* part, Index part_stride, Index rows, Index columns,
                    F8TileScales const& scales, bool add) {
  for (Index r = 0; r < rows; ++r)
    for_lanes(columns, [&](Index j, Index n) {
      float* const to = c + r * ldc + j;
      L const one = L::set(1.0f), sum = add ? load_lanes<L>(to, n) : L::set(0.0f),
              row_scale = scales.rows ? L::set(scales.rows[r * scales.row_step]) : one,
              column_scale = scales.rows ? load_lanes<L>(scales.columns + j, n) : one;
      store_lanes(promoted(load_lanes<L>(part + r * part_stride + j, n), row_scale, column_scale, sum), to,
                  n);
    });
}
