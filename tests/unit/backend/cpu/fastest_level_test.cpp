#include "aeth/backend/cpu/fastest_level.hpp"

#include "aeth/backend/cpu.hpp"
#include "support/catch.hpp"
#include "support/simd_levels.hpp"

namespace {
using namespace aeth;

TEST_CASE("the fastest level is the best, or the one below where dot products are slow", "[backend]") {
  SimdLevel const level = fastest_simd_level();
  if (level != best_simd_level()) {
    CHECK(best_simd_level() == SimdLevel::avx512_bf16);
    CHECK(level == SimdLevel::avx512);
  }
  CHECK(fastest_simd_level() == level);
  CHECK(Cpu(1).level() == level);
}

TEST_CASE("a level that is slower by far is told from a faster one", "[backend]") {
  for (SimdLevel const level : test::simd_levels()) {
    if (level == SimdLevel::scalar) continue;
    CHECK(cpu::bf16_product_seconds(level) < cpu::bf16_product_seconds(SimdLevel::scalar));
  }
}

}  // namespace
