/// A named tensor as files have it: bytes that somebody else owns, with their type and shape.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/dtype.hpp"

namespace aeth::io {

/// The notes of a file: text under text.
using Metadata = std::map<std::string, std::string, std::less<>>;

/// Extents, slowest first; none for a single number.
using TensorShape = std::vector<std::uint64_t>;

/// A tensor to be written, or one of an open file. The bytes may be unaligned: copy them, as copy_values()
/// does, instead of casting the pointer.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  TensorShape shape;
  std::span<std::byte const> bytes;
};

/// A tensor in memory, to be written. The shape must have as many elements as `data`.
template <class T>
[[nodiscard]] TensorEntry tensor_entry(std::string name, TensorShape shape, std::span<T const> data) {
  return {std::move(name), dtype_of<T>, std::move(shape), std::as_bytes(data)};
}

/// Product of the extents; nothing if it does not fit in 64 bits.
[[nodiscard]] inline std::optional<std::uint64_t> element_count(TensorShape const& shape) noexcept {
  std::uint64_t count = 1;
  for (std::uint64_t const extent : shape) {
    if (extent != 0 && count > ~std::uint64_t{0} / extent) return std::nullopt;
    count *= extent;
  }
  return count;
}

/// Bytes that a tensor takes in a file; nothing if they do not fit in 64 bits or do not end with a whole
/// byte.
[[nodiscard]] inline std::optional<std::uint64_t> byte_count(DType type, TensorShape const& shape) noexcept {
  auto const count = element_count(shape);
  std::uint64_t const bits = bits_of(type);
  if (!count || *count > ~std::uint64_t{0} / bits || *count * bits % 8 != 0) return std::nullopt;
  return *count * bits / 8;
}

/// A shape as text: [3, 4].
[[nodiscard]] inline std::string shape_text(TensorShape const& shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) out += text(i > 0 ? ", " : "", shape[i]);
  return out + "]";
}

/// A name from a file for a message: quoted, control bytes replaced, not longer than 200 bytes.
[[nodiscard]] inline std::string in_quotes(std::string_view name) {
  constexpr std::size_t longest = 200;
  std::string out = "'";
  for (char const c : name.substr(0, longest))
    out += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
  return out + (name.size() > longest ? "…'" : "'");
}

namespace detail {

template <class Stored, class T>
void widen_values(std::byte const* bytes, std::size_t count, T* out) {
  for (std::size_t i = 0; i < count; ++i) {
    Stored value;
    std::memcpy(&value, bytes + i * sizeof(Stored), sizeof(Stored));
    if constexpr (sizeof(Stored) == 2)
      out[i] = static_cast<T>(static_cast<float>(value));
    else
      out[i] = static_cast<T>(value);
  }
}

}  // namespace detail

/// Whether copy_values<T> reads that type: F64, F32, F16 and BF16 into a floating-point T, otherwise T
/// itself.
template <class T>
[[nodiscard]] constexpr bool is_readable_as(DType type) noexcept {
  if constexpr (std::floating_point<T>)
    return type == DType::f64 || type == DType::f32 || type == DType::f16 || type == DType::bf16;
  else
    return type == dtype_of<T>;
}

/// Copies a tensor's elements `first` … `first + count − 1`, converted to T; narrowing rounds to nearest.
///
/// errors   IoError if the type cannot be read as T, ShapeError if there are fewer elements
template <class T>
void copy_values(TensorEntry const& tensor, std::uint64_t first, std::size_t count, T* out) {
  expect<IoError>(is_readable_as<T>(tensor.dtype), "tensor ", in_quotes(tensor.name), " has type ",
                  name_of(tensor.dtype), ", which is not read as ", name_of(dtype_of<T>),
                  "; convert the file first");
  std::uint64_t const width = bits_of(tensor.dtype) / 8, all = tensor.bytes.size() / width;
  expect<ShapeError>(first <= all && count <= all - first, "tensor ", in_quotes(tensor.name), " has ", all,
                     " elements; ", count, " from ", first, " on were asked for");
  if (count == 0) return;
  std::byte const* const bytes = tensor.bytes.data() + first * width;
  if constexpr (std::floating_point<T>) {
    switch (tensor.dtype) {
      case DType::f64:
        return detail::widen_values<double>(bytes, count, out);
      case DType::f16:
        return detail::widen_values<aeth::f16>(bytes, count, out);
      case DType::bf16:
        return detail::widen_values<aeth::bf16>(bytes, count, out);
      default:
        return detail::widen_values<float>(bytes, count, out);
    }
  } else {
    std::memcpy(out, bytes, count * sizeof(T));
  }
}

/// All elements of a tensor. Errors: as copy_values().
template <class T>
[[nodiscard]] std::vector<T> values_of(TensorEntry const& tensor) {
  std::vector<T> out(tensor.bytes.size() * 8 / bits_of(tensor.dtype));
  copy_values(tensor, 0, out.size(), out.data());
  return out;
}

}  // namespace aeth::io
