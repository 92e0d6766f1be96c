/// Which vector instructions the CPU kernels use; chosen once at run time, so one binary runs everywhere.
#pragma once

#include <string_view>

#if defined(__x86_64__)
#define AETH_X86_64 1
#else
#define AETH_X86_64 0
#endif

namespace aeth {

/// Ascending; every level computes the same bits. avx512_bf16 is avx512 with dot products of BF16 pairs and table
/// look-ups of bytes (VBMI).
enum class SimdLevel { scalar, avx2, avx512, avx512_bf16 };

inline constexpr SimdLevel all_simd_levels[] = {SimdLevel::scalar, SimdLevel::avx2, SimdLevel::avx512,
                                                SimdLevel::avx512_bf16};

[[nodiscard]] constexpr std::string_view to_string(SimdLevel level) {
  switch (level) {
    case SimdLevel::avx512_bf16:
      return "avx512_bf16";
    case SimdLevel::avx512:
      return "avx512";
    case SimdLevel::avx2:
      return "avx2";
    case SimdLevel::scalar:
      break;
  }
  return "scalar";
}

/// The widest level that this machine and operating system run.
[[nodiscard]] inline SimdLevel best_simd_level() noexcept {
#if AETH_X86_64
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi")
               ? SimdLevel::avx512_bf16
               : SimdLevel::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return SimdLevel::avx2;
#endif
  return SimdLevel::scalar;
}

}  // namespace aeth
