/// Writing GGUF files. Equal tensors and notes give equal files.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/detail/gguf_header.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/ggml_type.hpp"
#include "aeth/io/gguf_tensor.hpp"
#include "aeth/io/gguf_value.hpp"

namespace aeth::io {

/// Takes the next bytes of a tensor.
using ByteSink = std::function<void(std::span<std::byte const>)>;

/// A tensor to be written. Its bytes are made while they are written, in pieces of any length, so that a
/// model need never be there twice.
struct GgufOutput {
  std::string name;
  GgmlType type = GgmlType::f32;
  TensorShape shape;  ///< slowest first
  std::function<void(ByteSink const&)> produce;
};

/// A tensor whose bytes are in memory; they must outlive the writing.
[[nodiscard]] inline GgufOutput gguf_output(GgufTensor const& tensor) {
  return {tensor.name, tensor.type, tensor.shape,
          [bytes = tensor.bytes](ByteSink const& sink) { sink(bytes); }};
}

namespace detail {

template <class T>
void append_bytes(std::string& out, T const& value) {
  out.append(reinterpret_cast<char const*>(&value), sizeof value);
}

inline void append_text(std::string& out, std::string_view value) {
  append_bytes(out, std::uint64_t{value.size()});
  out += value;
}

template <class T>
void append_element(std::string& out, T const& value) {
  if constexpr (std::is_same_v<T, std::string>)
    append_text(out, value);
  else if constexpr (std::is_same_v<T, bool>)
    out += value ? '\1' : '\0';
  else
    append_bytes(out, value);
}

inline void append_value(std::string& out, GgufValue const& value) {
  std::visit(
      [&]<class T>(T const& v) {
        if constexpr (is_vector<T>) {
          append_bytes(out, gguf_array);
          append_bytes(out, GgufTypeOf<typename T::value_type>::value);
          append_bytes(out, std::uint64_t{v.size()});
          for (typename T::value_type const& element : v) append_element(out, element);
        } else {
          append_bytes(out, GgufTypeOf<T>::value);
          append_element(out, v);
        }
      },
      value);
}

[[nodiscard]] inline std::uint64_t gguf_alignment(GgufMetadata const& metadata) {
  if (metadata.find(gguf_alignment_key) == metadata.end()) return default_gguf_alignment;
  auto const* const value = find_value<std::uint32_t>(metadata, gguf_alignment_key);
  expect<UsageError>(value != nullptr && *value >= 8 && std::has_single_bit(*value),
                     "gguf: ", gguf_alignment_key,
                     " must be a 32-bit power of two of at least 8; leave it out to get the usual 32");
  return *value;
}

/// The bytes of a tensor. Errors: UsageError or ShapeError if the format has no such tensor.
[[nodiscard]] inline std::uint64_t checked_bytes(GgufOutput const& t) {
  expect<UsageError>(!t.name.empty() && t.name.size() <= max_gguf_name, "gguf: the name ", in_quotes(t.name),
                     " has ", t.name.size(), " bytes, it must have 1 to ", max_gguf_name, "; use another");
  auto const bytes = byte_count(t.type, t.shape);
  expect<ShapeError>(bytes && *bytes > 0 && !t.shape.empty() && t.shape.size() <= max_gguf_rank,
                     "gguf: tensor ", in_quotes(t.name), " cannot be ", name_of(t.type), ' ',
                     shape_text(t.shape), "; it needs 1 to ", max_gguf_rank,
                     " extents above 0, the last one a multiple of ", block_elements(t.type));
  return *bytes;
}

/// Everything before the tensors' bytes, padded.
[[nodiscard]] inline std::string gguf_header_text(std::span<GgufOutput const> tensors,
                                                  GgufMetadata const& metadata) {
  std::uint64_t const alignment = gguf_alignment(metadata);
  expect<UsageError>(tensors.size() <= max_gguf_tensors && metadata.size() <= max_gguf_keys,
                     "gguf: ", tensors.size(), " tensors and ", metadata.size(), " keys, the limits are ",
                     max_gguf_tensors, " and ", max_gguf_keys, "; split them into several files");
  std::string out = "GGUF";
  append_bytes(out, std::uint32_t{3});
  append_bytes(out, std::uint64_t{tensors.size()});
  append_bytes(out, std::uint64_t{metadata.size()});
  for (auto const& [key, value] : metadata) {
    expect<UsageError>(!key.empty() && key.size() <= max_gguf_key, "gguf: the key ", in_quotes(key), " has ",
                       key.size(), " bytes, it must have 1 to ", max_gguf_key, "; use another");
    append_text(out, key);
    append_value(out, value);
  }
  std::unordered_set<std::string_view> names;
  std::uint64_t offset = 0;
  for (GgufOutput const& t : tensors) {
    std::uint64_t const bytes = checked_bytes(t);
    expect<UsageError>(names.insert(t.name).second, "gguf: the name ", in_quotes(t.name),
                       " is given twice; use another");
    append_text(out, t.name);
    append_bytes(out, static_cast<std::uint32_t>(t.shape.size()));
    for (std::size_t i = t.shape.size(); i-- > 0;) append_bytes(out, t.shape[i]);
    append_bytes(out, t.type);
    append_bytes(out, offset);
    offset += round_up(bytes, alignment);
  }
  out.resize(round_up(out.size(), static_cast<std::size_t>(alignment)));
  return out;
}

/// Gives a file's bytes to write(std::string_view) in order.
template <class Write>
void write_gguf_to(Write&& write, std::span<GgufOutput const> tensors, GgufMetadata const& metadata) {
  write(gguf_header_text(tensors, metadata));
  std::uint64_t const alignment = gguf_alignment(metadata);
  for (GgufOutput const& t : tensors) {
    std::uint64_t const wanted = checked_bytes(t);
    std::uint64_t done = 0;
    t.produce([&](std::span<std::byte const> piece) {
      done += piece.size();
      if (done <= wanted) write(std::string_view(reinterpret_cast<char const*>(piece.data()), piece.size()));
    });
    expect<ShapeError>(done == wanted, "gguf: tensor ", in_quotes(t.name), ", ", name_of(t.type), ' ',
                       shape_text(t.shape), ", takes ", wanted, " bytes; ", done, " were produced");
    write(std::string(static_cast<std::size_t>(round_up(wanted, alignment) - wanted), '\0'));
  }
}

}  // namespace detail

/// Writes a file of version 3 in one step; after a failure at any moment, also of a tensor's `produce`, the
/// path holds its old content. Tensors keep their order.
///
/// errors   UsageError or ShapeError for tensors and keys that make no file, before anything is written, or
///          for a tensor that produces another count of bytes; IoError as AtomicFile
/// cost     memory: the header
inline void write_gguf(std::string const& path, std::span<GgufOutput const> tensors,
                       GgufMetadata const& metadata = {}) {
  AtomicFile file(path);
  detail::write_gguf_to([&](std::string_view bytes) { file.write(bytes); }, tensors, metadata);
  file.commit();
}

}  // namespace aeth::io
