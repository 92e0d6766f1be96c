/// The SIMD levels that this machine can run.
#pragma once

#include <vector>

#include "aeth/backend/cpu/simd_level.hpp"

namespace aeth::test {

/// From the lowest to the best one.
inline std::vector<SimdLevel> simd_levels() {
  std::vector<SimdLevel> out;
  for (SimdLevel const level : all_simd_levels)
    if (level <= best_simd_level()) out.push_back(level);
  return out;
}

}  // namespace aeth::test
