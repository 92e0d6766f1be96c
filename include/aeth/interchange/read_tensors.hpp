/// Streams tensors of a checkpoint into memory: converted, dequantised and checked piece by piece.
#pragma once

#include <algorithm>
#include <array>
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
#include "aeth/io/finite.hpp"
#include "aeth/io/read_ahead.hpp"
#include "aeth/io/tensor_files.hpp"
#include "aeth/model/weight_slots.hpp"
#include "aeth/numeric/block_scales.hpp"
#include "aeth/numeric/f8.hpp"

namespace aeth::interchange {
namespace detail {

/// Elements of a piece: little enough for the caches, enough for a disk to be fast.
inline constexpr std::uint64_t piece_elements = std::uint64_t{1} << 18;

/// Reads `count` scales from the `first` on, widened. Errors: as io::expect_finite() unless allowed.
inline void read_scales(io::TensorFiles const& files, io::StoredTensor const& scales, std::uint64_t first,
                        std::size_t count, bool allow_nonfinite, std::vector<float>& out) {
  std::vector<std::byte> bytes(count * io::bits_of(scales.dtype) / 8);
  files.read(scales, first * io::bits_of(scales.dtype) / 8, bytes);
  out.resize(count);
  if (scales.dtype == io::DType::f8_e8m0)
    for (std::size_t i = 0; i < count; ++i)
      out[i] = static_cast<float>(e8m0{static_cast<std::uint8_t>(bytes[i])});
  else
    io::copy_values<float>({scales.name, scales.dtype, {}, bytes}, 0, count, out.data());
  if (!allow_nonfinite) io::expect_finite(out.data(), count, scales.name, first, files.path_of(scales));
}

/// Rows [row, row + rows) of a source, counted from its first one, from their bytes. `scales` is scratch.
template <class T>
void convert_rows(io::TensorFiles const& files, TensorSource const& source, std::uint64_t columns,
                  std::uint64_t row, std::uint64_t rows, std::span<std::byte const> bytes,
                  bool allow_nonfinite, T* out, std::vector<float>& scales) {
  io::StoredTensor const& t = *source.tensor;
  if (!source.scales) {
    io::copy_values<T>({t.name, t.dtype, {}, bytes}, 0, static_cast<std::size_t>(rows * columns), out);
    return;
  }
  auto const* const codes = reinterpret_cast<e4m3 const*>(bytes.data());
  constexpr auto block = static_cast<std::uint64_t>(scale_block);
  std::uint64_t const per_row = ceil_div(columns, block), per_matrix = ceil_div(source.matrix_rows, block);
  std::uint64_t known = ~std::uint64_t{0};
  for (std::uint64_t r = 0; r < rows; ++r) {
    std::uint64_t const at = source.first_row + row + r;
    std::uint64_t const needed = at / source.matrix_rows * per_matrix + at % source.matrix_rows / block;
    if (needed != known)
      read_scales(files, *source.scales, (known = needed) * per_row, static_cast<std::size_t>(per_row),
                  allow_nonfinite, scales);
    dequantize_row(codes + r * columns, scales.data(), static_cast<Index>(columns), out + r * columns);
  }
}

/// Rows of a tensor of a plan that are read at once.
struct Piece {
  std::size_t tensor;
  std::uint64_t row, rows;
  RequiredCopy const* pair =
      nullptr;  ///< not to be stored: rows of the copy, to be compared with the tensor's
};

/// What is read of the files for a plan, in order.
struct PieceList {
  std::vector<Piece> pieces;
  std::vector<io::FilePiece> places;
  /// Work goes on group by group: after so many pieces, so many tensors are complete.
  struct Group {
    std::size_t pieces, tensors;
  };
  std::vector<Group> groups;
};

/// Adds rows of a tensor of the plan that are stored with `row_bytes` each from `begin` on. Returns their bytes.
inline std::uint64_t add_pieces(PieceList& out, TensorPlan const& plan, std::size_t tensor,
                                io::StoredTensor const& stored, std::uint64_t first_row,
                                RequiredCopy const* pair) {
  auto const all = static_cast<std::uint64_t>(plan.expected[tensor].rows),
             columns = static_cast<std::uint64_t>(plan.expected[tensor].cols);
  std::uint64_t const rows = max(std::uint64_t{1}, piece_elements / columns),
                      row_bytes = columns * (io::bits_of(stored.dtype) / 8);
  for (std::uint64_t row = 0; row < all; row += rows) {
    std::uint64_t const count = min(rows, all - row);
    out.pieces.push_back({tensor, row, count, pair});
    out.places.push_back({stored.file, stored.offset + (first_row + row) * row_bytes, count * row_bytes});
  }
  return all * row_bytes;
}

[[nodiscard]] inline PieceList cut_into_pieces(TensorPlan const& plan) {
  constexpr std::uint64_t group_bytes = std::uint64_t{32} << 20;
  PieceList out;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < plan.expected.size(); ++i) {
    bytes += add_pieces(out, plan, i, *plan.sources[i].tensor, plan.sources[i].first_row, nullptr);
    if (bytes < group_bytes && i + 1 < plan.expected.size()) continue;
    out.groups.push_back({out.pieces.size(), i + 1});
    bytes = 0;
  }
  return out;
}

/// errors   IoError that names a copy and its original, unless they are the same
inline void expect_copy(bool same, io::TensorFiles const& files, RequiredCopy const& pair) {
  expect<IoError>(same, files.path_of(*pair.copy), ": tensor ", io::in_quotes(pair.copy->name),
                  " differs from ", io::in_quotes(pair.original->name),
                  ", which stands for both in a model; such a checkpoint cannot be used");
}

/// Adds the copies, which are compared when all tensors are in memory.
///
/// errors   IoError for a copy of another shape or of a type that is not read
template <class T>
void add_copies(PieceList& out, io::TensorFiles const& files, TensorPlan const& plan) {
  for (RequiredCopy const& pair : plan.copies) {
    auto const found =
        std::find_if(plan.sources.begin(), plan.sources.end(),
                     [&](TensorSource const& source) { return source.tensor == pair.original; });
    expect_copy(found != plan.sources.end() && pair.copy->shape == pair.original->shape &&
                    io::is_readable_as<T>(pair.copy->dtype),
                files, pair);
    (void)add_pieces(out, plan, static_cast<std::size_t>(found - plan.sources.begin()), *pair.copy, 0, &pair);
  }
  if (!plan.copies.empty()) out.groups.push_back({out.pieces.size(), plan.expected.size()});
}

/// Fills a model by `load`. If that throws, all weights become zero: a mixture of old and new ones would look like a
/// model.
template <class M, class Load>
void load_or_clear(M& model, Load const& load) {
  try {
    load();
  } catch (...) {
    for (auto const& slot : weight_slots(model)) std::fill(slot.values.begin(), slot.values.end(), 0);
    model.prepare();
    throw;
  }
}

}  // namespace detail

/// Fills destinations [size of each expected tensor] from the files, on all threads of a backend. Tensors come in
/// groups of about 32 MiB, in the order of the plan; after each, `ready(end)` is called with the number of tensors
/// that are complete by then, while the next are read in the background.
///
/// errors   IoError for a tensor that cannot be read; IoError naming tensor and index for a value that is not
///          finite as T, unless allowed; IoError for a copy that differs. Destinations are then partly filled.
/// cost     reads each byte once; memory: 32 MiB beside the destinations, more if a row has more than 16 MiB
template <class T, class B, class Ready>
void read_tensors(B& backend, io::TensorFiles const& files, TensorPlan const& plan,
                  std::span<T* const> destinations, bool allow_nonfinite, Ready const& ready) {
  detail::PieceList list = detail::cut_into_pieces(plan);
  detail::add_copies<T>(list, files, plan);
  io::ReadAhead ahead(files.files(), std::move(list.places));
  struct Scratch {
    std::vector<float> scales;
    std::vector<T> copy;
  };
  auto const take_in = [&](std::size_t index, std::span<std::byte const> bytes, Scratch& scratch) {
    detail::Piece const& piece = list.pieces[index];
    TensorSource const& source = plan.sources[piece.tensor];
    auto const columns = static_cast<std::uint64_t>(plan.expected[piece.tensor].cols);
    std::uint64_t const begin = piece.row * columns, count = piece.rows * columns;
    T* const out = destinations[piece.tensor] + begin;
    if (piece.pair) {
      io::StoredTensor const& copy = *piece.pair->copy;
      scratch.copy.resize(static_cast<std::size_t>(count));
      io::copy_values<T>({copy.name, copy.dtype, {}, bytes}, 0, scratch.copy.size(), scratch.copy.data());
      return detail::expect_copy(std::memcmp(scratch.copy.data(), out, scratch.copy.size() * sizeof(T)) == 0,
                                 files, *piece.pair);
    }
    detail::convert_rows(files, source, columns, piece.row, piece.rows, bytes, allow_nonfinite, out,
                         scratch.scales);
    if (!allow_nonfinite)
      io::expect_finite(out, count, source.tensor->name, source.first_row * columns + begin,
                        files.path_of(*source.tensor));
  };
  for (auto const& group : list.groups) {
    backend.parallel(backend.threads(), [&](Index, int) {
      Scratch scratch;
      ahead.work_through(group.pieces, [&](std::size_t index, std::span<std::byte const> bytes) {
        take_in(index, bytes, scratch);
      });
    });
    ready(group.tensors);
  }
}

}  // namespace aeth::interchange
