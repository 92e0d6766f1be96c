/// A matrix that is kept as codes of E4M3 with a scale for each 128 columns of a row.
#pragma once

#include "aeth/core/arena.hpp"
#include "aeth/core/math.hpp"
#include "aeth/numeric/f8.hpp"

namespace aeth {

/// [T, W]; in which order a backend lays codes in a row is its own.
struct F8Rows {
  e4m3* codes = nullptr;
  float* scales = nullptr;
  Index rows = 0, cols = 0;

  [[nodiscard]] static constexpr Index code_stride(Index cols) { return round_up(cols, Index{64}); }
  [[nodiscard]] static constexpr Index scale_stride(Index cols) { return ceil_div(cols, Index{128}); }
  [[nodiscard]] e4m3* row_codes(Index row) const { return codes + row * code_stride(cols); }
  [[nodiscard]] float* row_scales(Index row) const { return scales + row * scale_stride(cols); }

  [[nodiscard]] static F8Rows in(Arena& arena, Index rows, Index cols) {
    return {arena.take<e4m3>(rows * code_stride(cols)), arena.take<float>(rows * scale_stride(cols)), rows,
            cols};
  }
};

}  // namespace aeth
