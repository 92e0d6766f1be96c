// Sums of 14 bits against those of an H100's tensor core (tests/golden/README.md), bit for bit. AETH_HOPPER_FP8 names a
// longer file of results to read in place of the stored one.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "golden/hopper_fp8_inputs.hpp"
#include "support/catch.hpp"
#include "support/simd_levels.hpp"

namespace {

using namespace aeth;

std::vector<bf16> codes(hopper::Family const& family, Index count, std::uint64_t which) {
  std::vector<bf16> values;
  for (Index i = 0; i < count; ++i) {
    e4m3 x;
    x.bits = hopper::code(family.kind, static_cast<std::uint64_t>(i), which);
    values.push_back(bf16(static_cast<float>(x)));
  }
  return values;
}

}  // namespace

TEST_CASE("an FP8 sum of 14 bits is that of an H100, on every SIMD level", "[golden][fp8]") {
  constexpr Index rows = hopper::rows, columns = hopper::columns, steps = hopper::steps;
  char const* const longer = std::getenv("AETH_HOPPER_FP8");
  std::string const path = longer ? longer : AETH_TEST_DATA_DIR "/golden/data/hopper_fp8.txt";
  Index lines = 0, stored = 0;
  std::ifstream counted(path);
  for (std::string line; std::getline(counted, line);) ++lines;
  for (hopper::Family const& family : hopper::families) stored += family.blocks * rows * columns;
  REQUIRE(lines >= stored);
  for (SimdLevel const level : test::simd_levels()) {
    std::ifstream file(path);
    std::string line;
    for (hopper::Family const& family : hopper::families) {
      Index const depth = family.depth, blocks = family.blocks * (lines / stored);
      auto const a = codes(family, blocks * rows * depth, 0), b = codes(family, blocks * columns * depth, 1);
      for (Index block = 0; block < blocks; ++block) {
        // As products read it on the right: [depth, columns].
        std::vector<bf16> right(to_size(depth * columns));
        for (Index j = 0; j < columns; ++j)
          for (Index k = 0; k < depth; ++k)
            right[to_size(k * columns + j)] = b[to_size((block * columns + j) * depth + k)];
        std::vector<float> sum(to_size(rows * cpu::matmul_panel));
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < columns; ++j)
            sum[to_size(i * cpu::matmul_panel + j)] =
                hopper::before(family.kind, static_cast<std::uint64_t>((block * rows + i) * columns + j));
        for (Index k = 0; k < depth; k += steps) {
          cpu::LeftMatrix<bf16> const left{a.data() + block * rows * depth + k, depth};
          cpu::RightMatrix<bf16> const panel{right.data() + k * columns, columns};
          cpu::FlushSubnormals const scope;
          AETH_CPU_KERNEL(level, float, tensor_core_step, sum.data(), cpu::matmul_panel, rows, columns, steps,
                          left, panel, cpu::F8TileScales{}, 14);
        }
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < columns; ++j) {
            REQUIRE(std::getline(file, line));
            auto const expected = static_cast<std::uint32_t>(std::stoul(line, nullptr, 16));
            float const x = sum[to_size(i * cpu::matmul_panel + j)];
            INFO("level " << static_cast<int>(level) << ", kind " << family.kind << ", result " << i << ", "
                          << j << ": " << x << ", measured " << std::bit_cast<float>(expected));
            if (std::isnan(std::bit_cast<float>(expected)))
              REQUIRE(std::isnan(x));
            else
              REQUIRE(std::bit_cast<std::uint32_t>(x) == expected);
          }
      }
    }
    CHECK(!std::getline(file, line));
  }
}
