/// The SIMD level that computes BF16 products fastest here, which need not be the widest.
#pragma once

#include <chrono>
#include <vector>

#include "aeth/backend/cpu/kernels.hpp"

namespace aeth {

namespace cpu {

/// Seconds of one product of BF16 numbers at a level, the least of a few attempts: others' work only adds to it.
[[nodiscard]] inline double bf16_product_seconds(SimdLevel level) {
  constexpr Index rows = matmul_group, depth = 2 * matmul_k_block;
  std::vector<bf16> const a(to_size(rows * depth), bf16(1.0f)), b(to_size(depth * matmul_panel), bf16(1.0f));
  std::vector<float> c(to_size(rows * matmul_panel)), scratch(to_size(matmul_scratch));
  double least = 0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    auto const begin = std::chrono::steady_clock::now();
    matmul(level, rows, matmul_panel, depth, LeftMatrix<bf16>{a.data(), depth},
           RightMatrix<bf16>{b.data(), matmul_panel, 0}, c.data(), matmul_panel, false, scratch.data());
    double const taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    // The first one warms caches and registers up.
    if (attempt == 1 || (attempt > 1 && taken < least)) least = taken;
  }
  return least;
}

}  // namespace cpu

/// The level of a `Cpu` that is not told one: the best, or avx512 where its two multiply-adds take less time than the
/// dot-product instruction that replaces them, as on Intel's Sapphire and Emerald Rapids. Every level computes the same
/// bits, so a choice by the clock changes none. Takes less than a millisecond once per process.
[[nodiscard]] inline SimdLevel fastest_simd_level() {
  static SimdLevel const level = [] {
    SimdLevel const best = best_simd_level();
    if (best != SimdLevel::avx512_bf16) return best;
    double const plain = cpu::bf16_product_seconds(SimdLevel::avx512);
    return plain < 0.9 * cpu::bf16_product_seconds(best) ? SimdLevel::avx512 : best;
  }();
  return level;
}

}  // namespace aeth
