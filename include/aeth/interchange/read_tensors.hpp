/// Streams tensors of a checkpoint into memory: converted, dequantised and checked piece by piece.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/interchange/tensor_plan.hpp"
#include "aeth/io/tensor_files.hpp"
#include "aeth/numeric/block_scales.hpp"
#include "aeth/numeric/f8.hpp"

namespace aeth::interchange {
namespace detail {

/// Elements of a piece: its bytes stay in the second cache level between reading and converting.
inline constexpr std::uint64_t piece_elements = std::uint64_t{1} << 17;

/// Buffers of one thread.
struct PieceBuffers {
  std::vector<std::byte> bytes;
  std::vector<float> scales;
};

/// Reads `count` scales from the `first` on, widened.
inline void read_scales(io::TensorFiles const& files, io::StoredTensor const& scales, std::uint64_t first,
                        std::size_t count, std::vector<float>& out) {
  std::vector<std::byte> bytes(count * io::bits_of(scales.dtype) / 8);
  files.read(scales, first * io::bits_of(scales.dtype) / 8, bytes);
  out.resize(count);
  if (scales.dtype == io::DType::f8_e8m0)
    for (std::size_t i = 0; i < count; ++i)
      out[i] = static_cast<float>(e8m0{static_cast<std::uint8_t>(bytes[i])});
  else
    io::copy_values<float>({scales.name, scales.dtype, {}, bytes}, 0, count, out.data());
  for (std::size_t i = 0; i < count; ++i)
    expect<IoError>(std::isfinite(out[i]), files.path_of(scales), ": tensor ", io::in_quotes(scales.name),
                    " holds the scale ", out[i], " at index ", first + i, "; fetch the checkpoint again");
}

/// Rows [row, row + rows) of a source, counted from its first one, as T.
template <class T>
void read_rows(io::TensorFiles const& files, TensorSource const& source, std::uint64_t columns,
               std::uint64_t row, std::uint64_t rows, T* out, PieceBuffers& buffers) {
  io::StoredTensor const& t = *source.tensor;
  std::uint64_t const width = io::bits_of(t.dtype) / 8, first = (source.first_row + row) * columns;
  std::size_t const count = static_cast<std::size_t>(rows * columns);
  if (t.dtype == io::dtype_of<T>)
    return files.read(t, first * width, std::as_writable_bytes(std::span(out, count)));
  buffers.bytes.resize(count * width);
  files.read(t, first * width, buffers.bytes);
  if (!source.scales) {
    io::copy_values<T>({t.name, t.dtype, {}, buffers.bytes}, 0, count, out);
    return;
  }
  auto const* const codes = reinterpret_cast<e4m3 const*>(buffers.bytes.data());
  constexpr auto block = static_cast<std::uint64_t>(scale_block);
  std::uint64_t const per_row = ceil_div(columns, block), per_matrix = ceil_div(source.matrix_rows, block);
  std::uint64_t known = ~std::uint64_t{0};
  for (std::uint64_t r = 0; r < rows; ++r) {
    std::uint64_t const at = source.first_row + row + r;
    std::uint64_t const needed = at / source.matrix_rows * per_matrix + at % source.matrix_rows / block;
    if (needed != known)
      read_scales(files, *source.scales, (known = needed) * per_row, static_cast<std::size_t>(per_row),
                  buffers.scales);
    dequantize_row(codes + r * columns, buffers.scales.data(), static_cast<Index>(columns),
                   out + r * columns);
  }
}

/// The first value that is not finite, or `count`.
template <class T>
[[nodiscard]] std::uint64_t first_nonfinite(T const* values, std::uint64_t count) noexcept {
  constexpr std::uint64_t part = 1024;
  for (std::uint64_t at = 0; at < count; at += part) {
    std::uint64_t const end = (std::min)(count, at + part);
    T sum = 0;  // 0 · x is 0 for finite x and NaN otherwise; a plain sum vectorises, a search does not
    for (std::uint64_t i = at; i < end; ++i) sum += values[i] * T(0);
    if (sum == T(0)) continue;
    for (std::uint64_t i = at; i < end; ++i)
      if (!std::isfinite(values[i])) return i;
  }
  return count;
}

/// Rows of a tensor of a plan that one task reads.
struct Piece {
  std::size_t tensor;
  std::uint64_t row, rows;
};

/// Cuts the next tensors from `first` on into pieces, about 128 MiB of them, and announces them to the system.
/// Returns the first tensor that is not among them.
inline std::size_t next_group(io::TensorFiles const& files, TensorPlan const& plan, std::size_t first,
                              std::vector<Piece>& pieces) {
  constexpr std::uint64_t group_bytes = std::uint64_t{128} << 20;
  pieces.clear();
  std::uint64_t bytes = 0;
  for (; first < plan.expected.size() && bytes < group_bytes; ++first) {
    TensorSource const& source = plan.sources[first];
    auto const all = static_cast<std::uint64_t>(plan.expected[first].rows),
               columns = static_cast<std::uint64_t>(plan.expected[first].cols);
    auto const rows = (std::max)(std::uint64_t{1}, piece_elements / columns);
    for (std::uint64_t row = 0; row < all; row += rows)
      pieces.push_back({first, row, (std::min)(rows, all - row)});
    std::uint64_t const width = io::bits_of(source.tensor->dtype) / 8;
    files.expect_reading(*source.tensor, source.first_row * columns * width, all * columns * width);
    bytes += all * columns * width;
  }
  return first;
}

/// Throws unless two tensors of the files hold the same numbers.
inline void expect_copy(io::TensorFiles const& files, RequiredCopy const& pair) {
  bool same = pair.copy->shape == pair.original->shape && pair.copy->dtype == pair.original->dtype;
  constexpr std::uint64_t part = std::uint64_t{1} << 20;
  std::vector<std::byte> a(part), b(part);
  for (std::uint64_t at = 0; same && at < pair.copy->size; at += part) {
    auto const count = static_cast<std::size_t>((std::min)(part, pair.copy->size - at));
    files.read(*pair.copy, at, std::span(a).first(count));
    files.read(*pair.original, at, std::span(b).first(count));
    same = std::memcmp(a.data(), b.data(), count) == 0;
  }
  expect<IoError>(same, files.path_of(*pair.copy), ": tensor ", io::in_quotes(pair.copy->name),
                  " differs from ", io::in_quotes(pair.original->name),
                  ", which stands for both in a model; such a checkpoint cannot be used");
}

}  // namespace detail

/// Fills destinations [size of each expected tensor] from the files, on all threads of a backend. Tensors come in
/// groups of about 128 MiB, in the order of the plan; after each, `ready(end)` is called with the number of tensors
/// that are complete by then, while the system fetches the next group.
///
/// errors   IoError for a tensor that cannot be read; IoError naming tensor and index for a value that is not
///          finite as T, unless allowed; IoError for a copy that differs. Destinations are then partly filled.
/// cost     reads each byte once; a piece of 1 MiB per thread beside the destinations
template <class T, class B, class Ready>
void read_tensors(B& backend, io::TensorFiles const& files, TensorPlan const& plan,
                  std::span<T* const> destinations, bool allow_nonfinite, Ready const& ready) {
  for (RequiredCopy const& pair : plan.copies) detail::expect_copy(files, pair);
  std::vector<detail::PieceBuffers> buffers(static_cast<std::size_t>(backend.threads()));
  std::vector<detail::Piece> now, next;
  std::size_t end = detail::next_group(files, plan, 0, now);
  while (!now.empty()) {
    std::size_t const after = detail::next_group(files, plan, end, next);
    backend.parallel(static_cast<Index>(now.size()), [&](Index i, int thread) {
      detail::Piece const& piece = now[to_size(i)];
      TensorSource const& source = plan.sources[piece.tensor];
      auto const columns = static_cast<std::uint64_t>(plan.expected[piece.tensor].cols);
      std::uint64_t const begin = piece.row * columns, count = piece.rows * columns;
      T* const out = destinations[piece.tensor] + begin;
      detail::read_rows(files, source, columns, piece.row, piece.rows, out,
                        buffers[static_cast<std::size_t>(thread)]);
      std::uint64_t const at = allow_nonfinite ? count : detail::first_nonfinite(out, count);
      expect<IoError>(at == count, files.path_of(*source.tensor), ": tensor ",
                      io::in_quotes(source.tensor->name), " holds ", at == count ? T(0) : out[at],
                      " at index ", source.first_row * columns + begin + at,
                      "; such weights make every output useless. Use another file, or allow them "
                      "(LoadOptions::allow_nonfinite)");
    });
    ready(end);
    end = after;
    now.swap(next);
  }
}

}  // namespace aeth::interchange
