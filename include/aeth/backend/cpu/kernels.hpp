/// The serial CPU kernels, compiled once per SIMD level from one source.
///
/// `detail/kernels_*.hpp` hold each kernel's only text, written over an abstract vector of sixteen lanes.
/// This header includes them once in each level's namespace, with that level's instructions switched on for
/// those functions alone, so the user's own flags neither need -march nor change a bit. `AETH_CPU_KERNEL`
/// picks the namespace at run time.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <type_traits>
#include <utility>
#include <vector>

#include "aeth/backend/cpu/simd_level.hpp"
#include "aeth/backend/types.hpp"
#include "aeth/core/math.hpp"
#include "aeth/numeric/bf16.hpp"
#include "aeth/numeric/block_scales.hpp"
#include "aeth/numeric/f8.hpp"

#if AETH_X86_64
#include <immintrin.h>
#endif

#if defined(__FAST_MATH__) && !defined(AETH_ALLOW_FAST_MATH)
#error \
    "aeth: compiled with -ffast-math, which changes results and hides NaN; drop the flag or define AETH_ALLOW_FAST_MATH"
#endif

#if defined(__clang__)
#define AETH_UNROLL _Pragma("unroll")
#else
#define AETH_UNROLL _Pragma("GCC unroll 16")
#endif

namespace aeth::cpu {
inline constexpr Index matmul_panel = 64;  ///< columns of a packed panel; the last one may be narrower
inline constexpr Index matmul_k_block =
    256;                                   ///< steps of k for which a panel stays in the first cache levels
inline constexpr Index matmul_group = 48;  ///< rows of A that are copied side by side: of any register tile's
inline constexpr Index matmul_rows = 5 * matmul_group;  ///< whose copies stay in the second cache level
inline constexpr Index matmul_ahead_rows =
    24;  ///< fewer use a panel for too short a time to fetch another meanwhile
/// Steps of k by which these fewer prefetch what they read of B, 4 KiB of a packed panel: they go through it as fast as memory
/// gives it, and hardware stops at the end of each page.
inline constexpr Index matmul_lead = 16;
inline constexpr Index matmul_copied_a = matmul_k_block * matmul_rows;
inline constexpr Index matmul_copied_b = matmul_k_block * matmul_panel;
/// Elements of scratch of a product on one thread: copies of A's columns and of a panel of B, an edge of C, and
/// a panel of C before it is rounded.
inline constexpr Index matmul_scratch = matmul_copied_a + matmul_copied_b + matmul_rows * (16 + matmul_panel);

/// A product's left operand: element (i, k) at data[i · stride + k], or given by columns at data[i + k · stride].
template <class X>
struct LeftMatrix {
  X const* data = nullptr;
  Index stride = 0;
  bool columns = false;
};

/// Its right operand. Row-major: panel = matmul_panel and rows `stride` apart. Or in panels of 64 columns, `panel`
/// elements apart, of [depth, stride] each, where two rows of BF16 are interleaved to pairs.
template <class X>
struct RightMatrix {
  X const* data = nullptr;
  Index stride = 0;
  Index panel = matmul_panel;
};

/// Memory that is read soon. Register tiles prefetch some of it with each step of k, so that it comes evenly while they
/// compute. A guess that was wrong costs bandwidth and nothing else.
struct Ahead {
  char const *begin = nullptr, *end = nullptr;
  Index pace = 0;  ///< bytes per step

  /// `steps`: over which it is spread; at most a cache line each.
  template <class X>
  static Ahead of(X const* data, Index size, Index steps = 1) {
    auto const* const from = reinterpret_cast<char const*>(data);
    Index const bytes = size * static_cast<Index>(sizeof(X));
    return {from, from + bytes, (aeth::min)(ceil_div(bytes, steps), Index{64})};
  }
  /// Moves past what the next `steps` steps prefetch; returns the bytes from one to the next, 0 when little is left.
  Index take(Index steps) {
    Index const bytes = (aeth::min)(pace, (end - begin) / steps);
    begin += steps * bytes;
    return bytes;
  }
};

/// Scales of a tile of products of FP8 codes: in block b of k that of row i is at rows[i · row_step + b · row_block], that of
/// column j at columns[j + b · column_block].
struct F8TileScales {
  float const* rows = nullptr;  ///< null: no scales
  Index row_step = 0, row_block = 0;
  float const* columns = nullptr;
  Index column_block = 0;

  [[nodiscard]] F8TileScales at(Index row, Index column, Index block = 0) const {
    F8TileScales from = *this;
    if (!rows) return from;
    from.rows += row * row_step + block * row_block;
    from.columns += column + block * column_block;
    return from;
  }
};

/// Elements of k that lie side by side in a packed panel.
template <class X>
inline constexpr Index pair_of = std::is_same_v<X, bf16> ? 2 : 1;

inline constexpr Index f8_block =
    128;  ///< elements of a tile that share a scale, and edge of a block of a weight
inline constexpr Index f8_few_rows = 4;  ///< up to which widening codes once for all rows does not pay
/// Codes of a packed panel lie in groups, the pairs of 32 columns, ordered so that interleaving two vectors of bytes within
/// each 16 of them gives the words of the first and of the last 16 columns: the number at i of a BF16 panel has its code
/// at f8_place(i), and eight of them lie together.
inline constexpr Index f8_group = 64;
[[nodiscard]] constexpr Index f8_place(Index i) {
  return i % 32 / 8 * 16 + i / 32 * 8 + i % 8;
}
inline constexpr Index tensor_core_steps =
    32;  ///< steps of k that a tensor core adds at once (Hopper's wgmma)
/// Magnitudes of a tile of activations below which its scale does not fall (`act_quant` of DeepSeek's kernel.py).
inline constexpr float f8_least_magnitude = 1e-4f;
/// The scale of a tile of activations.
[[nodiscard]] inline float f8_tile_scale(float largest, ScaleForm form) {
  // NaN stays NaN.
  float const scale = (largest < f8_least_magnitude ? f8_least_magnitude : largest) / e4m3::largest;
  return form == ScaleForm::any ? scale : static_cast<float>(e8m0::at_least(scale));
}

/// What completes an odd number of BF16 elements on the left; times 0 it changes no sum, not even a zero's sign.
inline constexpr bf16 minus_zero{-0.0f};
}  // namespace aeth::cpu

namespace aeth::cpu::scalar {
#include "aeth/backend/cpu/detail/lanes_scalar.hpp"
// Order matters: products use the row kernels, and both use the lanes.
#include "aeth/backend/cpu/detail/kernels_rows.hpp"
// clang-format off
#include "aeth/backend/cpu/detail/kernels_matmul.hpp"
#include "aeth/backend/cpu/detail/kernels_f8.hpp"
#include "aeth/backend/cpu/detail/kernels_f8_rows.hpp"
#include "aeth/backend/cpu/detail/kernels_tensor_core.hpp"
// clang-format on
}  // namespace aeth::cpu::scalar

#if AETH_X86_64
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace aeth::cpu::avx2 {
#include "aeth/backend/cpu/detail/lanes_avx2.hpp"
// clang-format off
#include "aeth/backend/cpu/detail/kernels_rows.hpp"
#include "aeth/backend/cpu/detail/kernels_matmul.hpp"
#include "aeth/backend/cpu/detail/kernels_f8.hpp"
#include "aeth/backend/cpu/detail/kernels_f8_rows.hpp"
#include "aeth/backend/cpu/detail/kernels_tensor_core.hpp"
// clang-format on
}  // namespace aeth::cpu::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
namespace aeth::cpu::avx512 {
#include "aeth/backend/cpu/detail/lanes_avx512.hpp"
// clang-format off
#include "aeth/backend/cpu/detail/kernels_rows.hpp"
#include "aeth/backend/cpu/detail/kernels_matmul.hpp"
#include "aeth/backend/cpu/detail/kernels_f8.hpp"
#include "aeth/backend/cpu/detail/kernels_f8_rows.hpp"
#include "aeth/backend/cpu/detail/kernels_tensor_core.hpp"
// clang-format on
}  // namespace aeth::cpu::avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push(                                                                     \
    __attribute__((target("avx512bf16,avx512vbmi,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512bf16,avx512vbmi,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
namespace aeth::cpu::avx512_bf16 {
#include "aeth/backend/cpu/detail/lanes_avx512_bf16.hpp"
// clang-format off
#include "aeth/backend/cpu/detail/kernels_matmul.hpp"
#include "aeth/backend/cpu/detail/kernels_f8_rows.hpp"
// clang-format on
}  // namespace aeth::cpu::avx512_bf16
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/// Evaluates `name<Lanes>(arguments…)` of the level at hand; double runs at the scalar level always.
#if AETH_X86_64
#define AETH_CPU_KERNEL(level, T, name, ...)                                      \
  [&] {                                                                           \
    if constexpr (std::is_same_v<T, float>) {                                     \
      if ((level) >= ::aeth::SimdLevel::avx512)                                   \
        return ::aeth::cpu::avx512::name<::aeth::cpu::avx512::F32>(__VA_ARGS__);  \
      if ((level) == ::aeth::SimdLevel::avx2)                                     \
        return ::aeth::cpu::avx2::name<::aeth::cpu::avx2::F32>(__VA_ARGS__);      \
    }                                                                             \
    return ::aeth::cpu::scalar::name<::aeth::cpu::scalar::Lanes<T>>(__VA_ARGS__); \
  }()
#else
#define AETH_CPU_KERNEL(level, T, name, ...) \
  ((void)(level), ::aeth::cpu::scalar::name<::aeth::cpu::scalar::Lanes<T>>(__VA_ARGS__))
#endif

namespace aeth::cpu {

/// While it lives, this thread rounds to nearest and takes subnormal numbers for zero, as the dot-product
/// instruction does in any floating-point environment. Numbers that are only moved keep their bits.
class FlushSubnormals {
 public:
#if AETH_X86_64
  FlushSubnormals() noexcept : before_(_mm_getcsr()) {
    _mm_setcsr(0x9FC0u);  // flush to zero, denormals are zero, no traps
    keep_order();
  }
  ~FlushSubnormals() {
    keep_order();
    _mm_setcsr(before_);
  }
#else
  FlushSubnormals() noexcept {}
#endif
  FlushSubnormals(FlushSubnormals const&) = delete;
  FlushSubnormals& operator=(FlushSubnormals const&) = delete;

 private:
#if AETH_X86_64
  /// The arithmetic of a product starts from memory and ends there: no compiler moves it past this.
  static void keep_order() noexcept {
    asm volatile("" ::: "memory");
  }
  unsigned before_;
#endif
};

#if AETH_X86_64
/// Seconds of a product of a few dozen rows, the least of several attempts: the work of others only adds to it. X: bf16,
/// a parameter so that only programs with such products compile them.
template <class X, class Kernel>
[[nodiscard]] double least_seconds(Kernel const& kernel) {
  constexpr Index rows = matmul_group, depth = 2 * matmul_k_block;
  std::vector<X> const a(rows * depth, X(1.0f)), b(depth * matmul_panel, X(1.0f));
  std::vector<float> c(rows * matmul_panel), scratch(matmul_scratch);
  // <chrono> costs every program a tenth of its compile time.
  auto const now = [] {
    std::timespec time{};
    std::timespec_get(&time, TIME_UTC);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double least = 0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    Ahead nothing;
    double const begin = now();
    kernel(rows, matmul_panel, depth, LeftMatrix<X>{a.data(), depth},
           RightMatrix<X>{b.data(), matmul_panel, 0}, c.data(), matmul_panel, false, scratch.data(), nothing);
    double const taken = now() - begin;
    // The first one warms up.
    if (attempt == 1 || (attempt > 1 && taken < least)) least = taken;
  }
  return least;
}

/// Whether the instruction for dot products of BF16 takes less time than two multiply-adds, where a machine has it. It does
/// not on Intel's Sapphire and Emerald Rapids. Measured once, in less than a millisecond: it chooses among equal bits.
template <class X>
[[nodiscard]] bool dot_products_pay() {
  static bool const pay = [] {
    double const dots =
        least_seconds<X>([](auto... product) { avx512_bf16::matmul<avx512::F32>(product...); });
    return dots < least_seconds<X>([](auto... product) { avx512::matmul<avx512::F32>(product...); });
  }();
  return pay;
}
/// Rows below which they do everywhere: with few of them, memory is what takes time.
inline constexpr Index plain_pairs_rows = 6;
#endif

/// C (+)= A · B on this thread at a level, prefetching what is read after it. Given the scales of FP8 codes, the sum over each
/// block of k is promoted. See detail/kernels_matmul.hpp.
template <class X, class Y, class T>
void matmul(SimdLevel level, Index rows, Index columns, Index depth, LeftMatrix<X> a, RightMatrix<X> b, Y* c,
            Index ldc, bool accumulate, T* scratch, Ahead& ahead, F8TileScales const& scales = {}) {
  if constexpr (std::is_same_v<X, bf16>) {
    FlushSubnormals const scope;
#if AETH_X86_64
    if (level == SimdLevel::avx512_bf16 && (rows < plain_pairs_rows || dot_products_pay<X>()))
      return avx512_bf16::matmul<avx512::F32>(rows, columns, depth, a, b, c, ldc, accumulate, scratch, ahead,
                                              scales);
#endif
    return AETH_CPU_KERNEL(level, T, matmul, rows, columns, depth, a, b, c, ldc, accumulate, scratch, ahead,
                           scales);
  }
  AETH_CPU_KERNEL(level, T, matmul, rows, columns, depth, a, b, c, ldc, accumulate, scratch, ahead);
}
template <class X, class Y, class T>
void matmul(SimdLevel level, Index rows, Index columns, Index depth, LeftMatrix<X> a, RightMatrix<X> b, Y* c,
            Index ldc, bool accumulate, T* scratch, F8TileScales const& scales = {}) {
  Ahead nothing;
  matmul(level, rows, columns, depth, a, b, c, ldc, accumulate, scratch, nothing, scales);
}

/// A few rows times one packed FP8 panel at a level; see detail/kernels_f8_rows.hpp.
template <class Y>
void f8_rows(SimdLevel level, Index rows, Index columns, Index depth, bf16 const* a, Index a_row,
             float const* a_scales, Index a_scale_row, e4m3 const* b, Index width, float const* b_scales,
             Y* c, Index ldc, bool accumulate) {
  FlushSubnormals const scope;
#if AETH_X86_64
  if (level == SimdLevel::avx512_bf16)
    return avx512_bf16::f8_rows<avx512::F32>(rows, columns, depth, a, a_row, a_scales, a_scale_row, b, width,
                                             b_scales, c, ldc, accumulate);
#endif
  AETH_CPU_KERNEL(level, float, f8_rows, rows, columns, depth, a, a_row, a_scales, a_scale_row, b, width,
                  b_scales, c, ldc, accumulate);
}

/// Whole groups of codes of a packed FP8 panel as BF16.
inline void widen_groups(SimdLevel level, bf16* to, e4m3 const* from, Index size) {
#if AETH_X86_64
  if (level == SimdLevel::avx512_bf16) return avx512_bf16::widen_groups<avx512::F32>(to, from, size);
#endif
  AETH_CPU_KERNEL(level, float, widen_groups, to, from, size);
}

/// from [rows, columns], transposed to [columns, width] as products read a panel on the right; whole vectors of rows
/// are written, with zeros after the last.
template <class T, class X, class S>
void pack_columns(SimdLevel level, X* to, Index width, S const* from, Index stride, Index rows,
                  Index columns) {
  if constexpr (std::is_same_v<X, bf16>)
    AETH_CPU_KERNEL(level, T, transpose_pairs, to, width, from, stride, rows, columns);
  else
    AETH_CPU_KERNEL(level, T, transpose, to, width, from, stride, rows, columns);
}

}  // namespace aeth::cpu
