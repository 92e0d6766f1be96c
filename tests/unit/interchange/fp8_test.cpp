// Matrices that PyTorch quantised and dequantised by DeepSeek's rule (tests/oracles/fp8_weights.py), bit for bit.
#include <cstring>
#include <string>
#include <vector>

#include "aeth/io/tensor_files.hpp"
#include "aeth/numeric/block_scales.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {

template <class T>
std::vector<T> read(io::TensorFiles const& files, std::string const& name) {
  io::StoredTensor const& t = *files.find(name);
  std::vector<T> out(t.size / sizeof(T));
  files.read(t, 0, std::as_writable_bytes(std::span(out)));
  return out;
}

template <class T>
bool same_bits(std::vector<T> const& a, std::vector<T> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE("codes and scales have the values of the official rule, and those quantise back",
          "[interchange][fp8]") {
  io::TensorFiles const files(std::string(AETH_TEST_DATA_DIR) + "/unit/interchange/data/fp8.safetensors");
  for (char const* name : {"square", "kv_a", "odd", "narrow"}) {
    INFO(name);
    auto const codes = read<e4m3>(files, text(name, ".weight"));
    auto const scales = read<float>(files, text(name, ".weight_scale_inv"));
    auto const values = read<float>(files, text(name, ".values"));
    auto const& shape = files.find(text(name, ".weight"))->shape;
    auto const rows = static_cast<Index>(shape[0]), cols = static_cast<Index>(shape[1]);
    Index const per_row = ceil_div(cols, scale_block);
    std::vector<float> ours(values.size());
    for (Index row = 0; row < rows; ++row)
      dequantize_row(codes.data() + row * cols, scales.data() + row / scale_block * per_row, cols,
                     ours.data() + row * cols);
    CHECK(same_bits(ours, values));
    std::vector<e4m3> codes_again(codes.size());
    std::vector<float> scales_again(scales.size());
    for (Index row = 0; row < rows; row += scale_block) {
      MatrixView<float const> const strip(values.data() + row * cols, min(scale_block, rows - row), cols);
      strip_scales(strip, ScaleForm::any, scales_again.data() + row / scale_block * per_row);
      quantize_strip(strip, scales_again.data() + row / scale_block * per_row,
                     codes_again.data() + row * cols);
    }
    CHECK(same_bits(codes_again, codes));
    CHECK(same_bits(scales_again, scales));
  }
}
