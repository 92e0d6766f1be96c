/// The serial CPU kernels, compiled once per SIMD level from one source.
///
/// `detail/kernels_*.hpp` hold each kernel's only text, written over an abstract vector of sixteen lanes.
/// This header includes them once in each level's namespace, with that level's instructions switched on for
/// those functions alone, so the user's own flags neither need -march nor change a bit. `dispatch` picks the
/// namespace at run time.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "aeth/backend/cpu/simd_level.hpp"
#include "aeth/backend/types.hpp"
#include "aeth/core/math.hpp"
#include "aeth/numeric/bf16.hpp"

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
inline constexpr Index matmul_rows = 252;  ///< rows whose copies stay in the second one: a multiple of six
/// Elements of scratch of a product on one thread: copies of A's columns and B's panel, and an edge of C.
inline constexpr Index matmul_scratch =
    matmul_k_block * (matmul_rows + matmul_panel) + matmul_rows * (16 + 4);
}  // namespace aeth::cpu

namespace aeth::cpu::scalar {
#include "aeth/backend/cpu/detail/lanes_scalar.hpp"
// Order matters: the row kernels use nothing of the products, but both use the lanes.
#include "aeth/backend/cpu/detail/kernels_matmul.hpp"
#include "aeth/backend/cpu/detail/kernels_rows.hpp"
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
#include "aeth/backend/cpu/detail/kernels_matmul.hpp"
#include "aeth/backend/cpu/detail/kernels_rows.hpp"
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
#include "aeth/backend/cpu/detail/kernels_matmul.hpp"
#include "aeth/backend/cpu/detail/kernels_rows.hpp"
// clang-format on
}  // namespace aeth::cpu::avx512
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
      if ((level) == ::aeth::SimdLevel::avx512)                                   \
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
