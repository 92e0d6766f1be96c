/// A tensor of a GGUF file: bytes that somebody else owns, perhaps quantised, with their type and shape.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/ggml_type.hpp"
#include "aeth/io/tensor_entry.hpp"
#include "aeth/numeric/q8_0.hpp"

namespace aeth::io {

/// Extents slowest first, the reverse of the file's order. The bytes may be unaligned.
struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::f32;
  TensorShape shape;
  std::span<std::byte const> bytes;
};

/// A tensor of a file: what it is and where its bytes are.
struct GgufPlace {
  std::string name;
  GgmlType type = GgmlType::f32;
  TensorShape shape;  ///< slowest first
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  ///< in bytes
};

/// Whether copy_values() reads that type: F64, F32, F16, BF16 and Q8_0.
[[nodiscard]] constexpr bool is_readable(GgmlType type) noexcept {
  return type == GgmlType::f64 || type == GgmlType::f32 || type == GgmlType::f16 || type == GgmlType::bf16 ||
         type == GgmlType::q8_0;
}

/// How many elements a tensor has.
[[nodiscard]] inline std::uint64_t element_count(GgufTensor const& tensor) noexcept {
  return tensor.bytes.size() / block_bytes(tensor.type) * block_elements(tensor.type);
}

namespace detail {

/// Elements of Q8_0 blocks from anywhere on.
template <class T>
void widen_q8_0(std::byte const* blocks, std::uint64_t first, std::size_t count, T* out) {
  for (std::uint64_t at = first; at < first + count;) {
    Q8_0Block block;
    std::memcpy(&block, blocks + at / Q8_0Block::size * sizeof block, sizeof block);
    float values[Q8_0Block::size];
    decode_q8_0(block, values);
    std::uint64_t const end = min(first + count, (at / Q8_0Block::size + 1) * Q8_0Block::size);
    for (; at < end; ++at) *out++ = static_cast<T>(values[at % Q8_0Block::size]);
  }
}

}  // namespace detail

/// Copies a tensor's elements `first` … `first + count − 1`, converted to T; narrowing rounds to nearest.
///
/// errors   IoError if the type is not read, ShapeError if there are fewer elements
template <std::floating_point T>
void copy_values(GgufTensor const& tensor, std::uint64_t first, std::size_t count, T* out) {
  expect<IoError>(is_readable(tensor.type), "tensor ", in_quotes(tensor.name), " has type ",
                  name_of(tensor.type),
                  ", which is not read; F64, F32, F16, BF16 and Q8_0 are, so convert the file first");
  std::uint64_t const all = element_count(tensor);
  expect<ShapeError>(first <= all && count <= all - first, "tensor ", in_quotes(tensor.name), " has ", all,
                     " elements; ", count, " from ", first, " on were asked for");
  std::byte const* const bytes = tensor.bytes.data();
  switch (tensor.type) {
    case GgmlType::f64:
      return detail::widen_values<double>(bytes + first * 8, count, out);
    case GgmlType::f16:
      return detail::widen_values<aeth::f16>(bytes + first * 2, count, out);
    case GgmlType::bf16:
      return detail::widen_values<aeth::bf16>(bytes + first * 2, count, out);
    case GgmlType::q8_0:
      return detail::widen_q8_0(bytes, first, count, out);
    default:
      return detail::widen_values<float>(bytes + first * 4, count, out);
  }
}

/// All elements of a tensor. Errors: as copy_values().
template <std::floating_point T>
[[nodiscard]] std::vector<T> values_of(GgufTensor const& tensor) {
  std::vector<T> out(static_cast<std::size_t>(element_count(tensor)));
  copy_values(tensor, 0, out.size(), out.data());
  return out;
}

}  // namespace aeth::io
