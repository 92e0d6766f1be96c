// not self-contained: included by backend/cpu/kernels.hpp once per SIMD level, inside that level's namespace.
//
// What a tensor core of Hopper adds in one instruction: products of E4M3 over 32 steps of k, and the sum so far. The
// largest power of two among these 33 numbers is found, where a product's is that of its factors, so that it may be
// nearly four times as large, subnormal factors count as 2^-6 and zeros not at all. Each number is cut towards zero to
// the bits that are kept, counted from that power; then they are added exactly and the sum is cut to as many bits.
//
// source   measured: with 14 bits this equals bit for bit what an H100 computed, tests/golden/data/hopper_fp8.txt.
//          DeepSeek-V3, arXiv:2412.19437, §3.5.2 describes it.

/// The power of two of each number of E4M3 as a factor.
template <class L>
inline L power_of_factor(L x) {
  L const zero = L::set(0.0f);
  return select_less(zero, abs(x), (max)(power_of_two_below(x), L::set(0x1p-6f)), zero);
}

/// sum [rows, columns] becomes what one instruction makes of it and of A · B. Products times their scales, rounded to
/// FP32, are added if there are scales; the power of a scale then multiplies that of its products. The largest power counts
/// as 2^-110 at least. A sum that is not finite becomes NaN.
///
/// sum    [rows, stride], stride a multiple of matmul_panel: all of it is written
/// steps  of k, at most tensor_core_steps
/// a, b   [rows, steps], [steps, columns] of E4M3; b row-major, or one packed panel
/// bits   kept, 2 to 16: 32 terms below 8 and a sum below 2, in units of 2^(1 - bits), are added exactly in FP32
template <class L>
inline void tensor_core_step(float* sum, Index stride, Index rows, Index columns, Index steps,
                             LeftMatrix<bf16> a, RightMatrix<bf16> b, F8TileScales const& scales, int bits) {
  constexpr Index panel = matmul_panel, vectors = panel / 16;
  alignas(64) float left[tensor_core_steps] = {}, left_power[tensor_core_steps];
  alignas(64) float right[tensor_core_steps][panel], right_power[tensor_core_steps][panel];
  float const unit = std::bit_cast<float>(static_cast<std::uint32_t>(126 + bits) << 23);  // 2^(bits - 1)
  std::uint32_t const kept = ~std::uint32_t{0} << (24 - bits);
  L const zero = L::set(0.0f), one = L::set(1.0f);
  for (Index j0 = 0; j0 < columns; j0 += panel) {
    Index const width = (aeth::min)(panel, columns - j0);
    for (Index k = 0; k < tensor_core_steps; ++k) {
      for (Index j = 0; j < panel; ++j) {
        Index const at = b.panel == panel ? k * b.stride + j0 + j : k / 2 * 2 * b.stride + 2 * j + k % 2;
        right[k][j] = k < steps && j < width ? static_cast<float>(b.data[at]) : 0.0f;
      }
      for (Index j = 0; j < panel; j += 16) power_of_factor(L::load(right[k] + j)).store(right_power[k] + j);
    }
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < steps; ++k)
        left[k] = static_cast<float>(a.columns ? a.data[r + k * a.stride] : a.data[r * a.stride + k]);
      for (Index k = 0; k < tensor_core_steps; k += 16)
        power_of_factor(L::load(left + k)).store(left_power + k);
      float* const to = sum + r * stride + j0;
      L row_scale = one, column_scale[vectors], power[vectors], inverse[vectors], total[vectors];
      if (scales.rows) row_scale = L::set(scales.rows[r * scales.row_step]);
      AETH_UNROLL
      for (Index v = 0; v < vectors; ++v) {
        column_scale[v] = scales.rows ? load_lanes<L>(scales.columns + j0 + 16 * v, width - 16 * v) : one;
        power[v] = zero;
      }
      for (Index k = 0; k < steps; ++k) {
        L const factor = L::set(left_power[k]);
        AETH_UNROLL
        for (Index v = 0; v < vectors; ++v)
          power[v] = (max)(power[v], factor * L::load(right_power[k] + 16 * v));
      }
      AETH_UNROLL
      for (Index v = 0; v < vectors; ++v) {
        L const before = L::load(to + 16 * v),
                scale = power_of_two_below(promoted(one, row_scale, column_scale[v], zero));
        power[v] = (max)((max)(power[v] * scale, power_of_two_below(before)), L::set(0x1p-110f));
        inverse[v] = L::set(unit) / power[v];
        total[v] = toward_zero(before * inverse[v]);
      }
      for (Index k = 0; k < steps; ++k) {
        L const factor = L::set(left[k]);
        AETH_UNROLL
        for (Index v = 0; v < vectors; ++v) {
          L term = factor * L::load(right[k] + 16 * v);
          if (scales.rows) term = promoted(term, row_scale, column_scale[v], zero);
          total[v] = total[v] + toward_zero(term * inverse[v]);
        }
      }
      AETH_UNROLL
      for (Index v = 0; v < vectors; ++v) (total[v] * (power[v] / L::set(unit))).store(to + 16 * v);
      for (Index j = 0; j < panel; ++j)
        to[j] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(to[j]) & kept);
    }
  }
}
