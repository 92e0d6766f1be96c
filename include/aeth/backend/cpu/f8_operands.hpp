/// Operands of FP8 products on the CPU: numbers as codes of E4M3 with scales, packed for weights. What they are is said in
/// matmul_f8.hpp.
#pragma once

#include <type_traits>

#include "aeth/backend/cpu/rows.hpp"
#include "aeth/numeric/block_scales.hpp"

namespace aeth {

namespace cpu {

/// Where the parts of packed FP8 weights [out, in] lie.
struct F8Layout {
  Index out, in;

  [[nodiscard]] Index panels() const { return ceil_div(out, matmul_panel); }
  [[nodiscard]] Index blocks() const { return ceil_div(in, f8_block); }
  [[nodiscard]] Index codes() const {
    return round_up(round_up(out, Index{32}) * round_up(in, Index{2}), Index{64});
  }
  /// Bytes of all.
  [[nodiscard]] Index size() const {
    return codes() + round_up(panels() * blocks() * static_cast<Index>(sizeof(float)), Index{64});
  }
  [[nodiscard]] static Index width(Index columns) { return round_up(columns, Index{32}); }
  template <class Code>
  [[nodiscard]] Code* panel(Code* packed, Index panel) const {
    return packed + panel * matmul_panel * round_up(in, Index{2});
  }
  /// The scale of panel p and block b of k is at [p · blocks() + b].
  [[nodiscard]] float* scales(e4m3* packed) const { return reinterpret_cast<float*>(packed + codes()); }
  [[nodiscard]] float const* scales(e4m3 const* packed) const {
    return reinterpret_cast<float const*>(packed + codes());
  }
};

/// A left operand: codes and, per row and block of k, scales; or given by columns with scales per block of k and row.
struct F8Left {
  bf16 const* codes = nullptr;
  Index stride = 0;
  float const* scales = nullptr;
  Index scale_stride = 0;
};

/// All of `count` scales become the largest, NaN if one is.
inline void share_largest(float* scales, Index count, Index stride) {
  float largest = scales[0];
  for (Index j = 1; j < count; ++j)
    if (largest == largest && !(scales[j * stride] <= largest)) largest = scales[j * stride];
  for (Index j = 0; j < count; ++j) scales[j * stride] = largest;
}

}  // namespace cpu

inline void Cpu::pack_weights(MatrixView<float const> w, e4m3* packed) {
  pack_f8(w, packed, false);
}
inline void Cpu::pack_transposed(MatrixView<float const> w, e4m3* packed) {
  pack_f8(w, packed, true);
}

/// NaN for a block with a number that is not finite.
inline float Cpu::f8_scale(MatrixView<float const> block) const {
  float const largest =
      AETH_CPU_KERNEL(level_, float, largest_magnitude, block.data, block.stride, block.rows, block.cols);
  return block_scale(block, largest, f8_.scales);
}

/// Counts what rounding does to x, whose scale at (i, j) is at [⌊i / rows_per_scale⌋ · row_stride + ⌊j / columns_per_scale⌋].
template <class X>
void Cpu::observe(F8Statistics& total, MatrixView<X const> x, float const* scales, Index row_stride,
                  Index rows_per_scale, Index columns_per_scale) {
  for (Index i = 0; i < x.rows; ++i)
    for (Index j = 0; j < x.cols; ++j) {
      float const scale = scales[i / rows_per_scale * row_stride + j / columns_per_scale];
      if (i % rows_per_scale == 0 && j % columns_per_scale == 0) total.add_scale(scale);
      total.add(static_cast<float>(x(i, j)), scale);
    }
}

inline void Cpu::pack_f8(MatrixView<float const> w, e4m3* packed, bool transposed) {
  cpu::F8Layout const layout{transposed ? w.cols : w.rows, transposed ? w.rows : w.cols};
  constexpr Index block = cpu::f8_block;
  // Both panels of 64 columns of a block of 128.
  parallel(ceil_div(layout.out, block), [&](Index strip, int) {
    Index const out0 = strip * block, height = min(block, layout.out - out0);
    for (Index b = 0; b < layout.blocks(); ++b) {
      Index const in0 = b * block, depth = min(block, layout.in - in0);
      auto const tile = transposed ? w.row_slice(in0, depth).col_slice(out0, height)
                                   : w.row_slice(out0, height).col_slice(in0, depth);
      float const scale = f8_scale(tile);
      for (Index j = 0; j < height; j += cpu::matmul_panel) {
        Index const used = min(cpu::matmul_panel, height - j), width = layout.width(used),
                    panel = (out0 + j) / cpu::matmul_panel;
        layout.scales(packed)[panel * layout.blocks() + b] = scale;
        e4m3* const to = layout.panel(packed, panel) + in0 * width;
        if (transposed)
          AETH_CPU_KERNEL(level_, float, pack_codes_transposed, to, width, tile.data + j, tile.stride, used,
                          depth, scale);
        else
          AETH_CPU_KERNEL(level_, float, pack_codes, to, width, tile.row(j), tile.stride, used, depth, scale);
      }
    }
  });
  // The other packed form has the same codes and is not counted again.
  if (observation_ && !transposed)
    for (Index i = 0; i < w.rows; i += block)
      for (Index j = 0; j < w.cols; j += block) {
        auto const tile = w.row_slice(i, min(block, w.rows - i)).col_slice(j, min(block, w.cols - j));
        float const scale = f8_scale(tile);
        observe(observation_->at(packed, F8Operand::weight), tile, &scale, Index{0}, block, block);
      }
}

template <class W>
void Cpu::pack_from_f8(MatrixView<float const> w, Index row, Index rows, W* packed, bool transposed) {
  ArenaScope const scope(scratch_);
  auto const to = scratch_.matrix<float>(rows, w.cols);
  constexpr Index block = cpu::f8_block;
  parallel(ceil_div(w.cols, block), [&](Index b, int) {
    Index const column = b * block, width = min(block, w.cols - column);
    for (Index top = row / block * block; top < row + rows; top += block) {
      auto const tile = w.row_slice(top, min(block, w.rows - top)).col_slice(column, width);
      float const scale = f8_scale(tile);
      for (Index i = max(row, top); i < min(row + rows, top + block); ++i)
        for (Index j = 0; j < width; ++j)
          to(i - row, column + j) = static_cast<float>(e4m3(tile(i - top, j) / scale)) * scale;
    }
  });
  if (transposed)
    pack_transposed(as_const(to), packed);
  else
    pack_weights(as_const(to), packed);
}

template <class X>
void Cpu::keep_f8(MatrixView<X const> x, F8Rows const& to) {
  cpu::parallel_rows(*this, x.rows, [&](Index t) {
    AETH_CPU_KERNEL(level_, float, keep_row, to.row_codes(t), to.row_scales(t), x.row(t), x.cols, f8_.scales);
  });
}

template <class X>
void Cpu::restore_f8(F8Rows const& from, MatrixView<X> x) {
  cpu::parallel_rows(*this, x.rows, [&](Index t) {
    AETH_CPU_KERNEL(level_, float, restore_row, x.row(t), from.row_codes(t), from.row_scales(t), x.cols);
  });
}

template <class X>
cpu::F8Left Cpu::quantized_rows(MatrixView<X const> x, e4m3 const* weight) {
  Index const blocks = ceil_div(x.cols, cpu::f8_block);
  bf16* const codes = scratch_.take<bf16>(x.rows * x.cols);
  float* const scales = scratch_.take<float>(x.rows * blocks);
  cpu::parallel_rows(*this, x.rows, [&](Index t) {
    AETH_CPU_KERNEL(level_, float, quantize_row, codes + t * x.cols, scales + t * blocks, x.row(t), x.cols,
                    f8_.scales);
  });
  if (f8_.square_tiles)
    cpu::parallel_chunks(*this, x.rows, cpu::f8_block, [&](Index begin, Index end) {
      for (Index b = 0; b < blocks; ++b) cpu::share_largest(scales + begin * blocks + b, end - begin, blocks);
      for (Index t = begin; t < end; ++t)
        AETH_CPU_KERNEL(level_, float, round_row, codes + t * x.cols, scales + t * blocks, x.row(t), x.cols);
    });
  if (observation_)
    observe(observation_->at(weight, F8Operand::rows), x, scales, blocks, Index{1}, cpu::f8_block);
  return {codes, x.cols, scales, blocks};
}

template <class X>
cpu::F8Left Cpu::quantized_columns(MatrixView<X const> x, Index const* first, Index groups,
                                   float const* gradient, F8Operand operand) {
  constexpr Index block = cpu::f8_block, strip = 256;
  bf16* const codes = scratch_.take<bf16>(x.rows * x.cols);
  // A block may begin at each group's first row: row t's block has its scales at that of its first row.
  Index const strips = ceil_div(x.cols, strip);
  Index* const blocks = scratch_.take<Index>(groups + 1);
  blocks[0] = 0;
  for (Index e = 0; e < groups; ++e) blocks[e + 1] = blocks[e] + ceil_div(first[e + 1] - first[e], block);
  float* const scales = scratch_.take<float>(blocks[groups] * x.cols);
  parallel(blocks[groups] * strips, [&](Index task, int) {
    Index const b = task / strips, column = task % strips * strip;
    Index e = 0;
    while (blocks[e + 1] <= b) ++e;
    Index const row = first[e] + (b - blocks[e]) * block, rows = min(block, first[e + 1] - row),
                width = min(strip, x.cols - column);
    float* const own = scales + b * x.cols + column;
    X const* const from = x.row(row) + column;
    AETH_CPU_KERNEL(level_, float, column_scales, own, from, x.stride, rows, width, f8_.scales);
    if (f8_.square_tiles)
      for (Index j0 = 0; j0 < width; j0 += block)
        cpu::share_largest(own + j0, min(block, width - j0), Index{1});
    AETH_CPU_KERNEL(level_, float, round_columns, codes + row * x.cols + column, x.cols, own, from, x.stride,
                    rows, width);
  });
  if (observation_)
    for (Index e = 0; e < groups; ++e)
      observe(observation_->at(gradient, operand), x.row_slice(first[e], first[e + 1] - first[e]),
              scales + blocks[e] * x.cols, x.cols, block, Index{1});
  return {codes, x.cols, scales, x.cols};
}

}  // namespace aeth
