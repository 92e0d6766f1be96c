/// The header of a GGUF file: its version, keys with values, and tensors, all checked while they are read.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/io/detail/gguf_cursor.hpp"
#include "aeth/io/ggml_type.hpp"
#include "aeth/io/gguf_tensor.hpp"
#include "aeth/io/gguf_value.hpp"

namespace aeth::io {

/// Most tensors and keys of a file: a thousand times what released models have.
inline constexpr std::uint64_t max_gguf_tensors = 1'000'000, max_gguf_keys = 100'000;
/// Longest key in bytes, the format's own limit; longest name of a tensor, that of ggml.
inline constexpr std::size_t max_gguf_key = 65'535, max_gguf_name = 63;
/// Most extents of a tensor.
inline constexpr std::uint32_t max_gguf_rank = 4;
/// Where tensors begin unless general.alignment says otherwise: at multiples of so many bytes.
inline constexpr std::uint32_t default_gguf_alignment = 32;
/// The key of that note.
inline constexpr std::string_view gguf_alignment_key = "general.alignment";

namespace detail {

struct GgufHeader {
  std::uint32_t version = 0;
  std::uint64_t alignment = default_gguf_alignment;
  std::uint64_t data_begin = 0;
  GgufMetadata metadata;
  std::vector<GgufPlace> tensors;  ///< offsets from data_begin on
};

template <class T>
[[nodiscard]] T gguf_element(GgufCursor& in, std::string_view what) {
  if constexpr (std::is_same_v<T, std::string>) {
    return std::string(in.string(what));
  } else if constexpr (std::is_same_v<T, bool>) {
    auto const byte = in.number<std::uint8_t>(what);
    if (byte > 1)
      in.fail(GgufFault::bad_value, what, " at byte ", in.at() - 1, " is ", byte,
              ", a truth value is 0 or 1");
    return byte == 1;
  } else {
    return in.number<T>(what);
  }
}

[[nodiscard]] inline GgufValue gguf_value(GgufCursor& in, std::string_view what) {
  auto const type = in.number<std::uint32_t>(what);
  GgufValue out;
  auto const one = [&]<class T>(std::type_identity<T>) { out = gguf_element<T>(in, what); };
  if (type != gguf_array) {
    if (!with_gguf_type(type, one))
      in.fail(GgufFault::bad_value, what, " has type ", type, " at byte ", in.at() - 4,
              ", which does not exist");
    return out;
  }
  auto const of = in.number<std::uint32_t>(what);
  auto const count = in.number<std::uint64_t>(what);
  auto const all = [&]<class T>(std::type_identity<T>) {
    in.expect_room(count, std::is_same_v<T, std::string> ? 8 : sizeof(T), what);
    std::vector<T> values;
    // A text takes more memory than it must take in the file, so room for texts grows as they come.
    if constexpr (!std::is_same_v<T, std::string>) values.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(gguf_element<T>(in, what));
    out = std::move(values);
  };
  if (!with_gguf_type(of, all))
    in.fail(GgufFault::bad_value, what, " is an array of type ", of, " at byte ", in.at() - 12,
            ", not of numbers, truth values or text");
  return out;
}

inline void read_gguf_metadata(GgufCursor& in, std::uint64_t count, GgufHeader& header) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t const begin = in.at();
    std::string_view const key = in.string("a key");
    if (key.empty()) in.fail(GgufFault::bad_key, "key ", i, " at byte ", begin, " is empty");
    if (key.size() > max_gguf_key)
      in.fail(GgufFault::over_limit, "key ", in_quotes(key), " at byte ", begin, " has ", key.size(),
              " bytes, the limit is ", max_gguf_key);
    auto const [place, fresh] = header.metadata.try_emplace(std::string(key));
    if (!fresh) in.fail(GgufFault::duplicate, "key ", in_quotes(key), " at byte ", begin, " is there twice");
    place->second = gguf_value(in, "the value of " + in_quotes(key));
  }
  auto const found = header.metadata.find(gguf_alignment_key);
  if (found == header.metadata.end()) return;
  auto const* const value = std::get_if<std::uint32_t>(&found->second);
  if (value == nullptr || *value < 8 || !std::has_single_bit(*value))
    in.fail(GgufFault::bad_alignment, gguf_alignment_key, " is ",
            value == nullptr ? std::string("not a 32-bit number without sign") : text(*value),
            "; it must be a power of two of at least 8");
  header.alignment = *value;
}

[[nodiscard]] inline GgufPlace read_gguf_place(GgufCursor& in) {
  GgufPlace out;
  std::uint64_t const begin = in.at();
  std::string_view const name = in.string("a tensor's name");
  if (name.empty() || name.size() > max_gguf_name)
    in.fail(GgufFault::over_limit, "the name ", in_quotes(name), " of a tensor at byte ", begin, " has ",
            name.size(), " bytes, it must have 1 to ", max_gguf_name);
  out.name = name;
  std::string const where = "tensor " + in_quotes(name);
  auto const rank = in.number<std::uint32_t>(where);
  if (rank < 1 || rank > max_gguf_rank)
    in.fail(GgufFault::bad_shape, where, " has ", rank, " extents at byte ", in.at() - 4,
            ", it must have 1 to ", max_gguf_rank);
  out.shape.resize(rank);
  for (std::uint32_t i = rank; i-- > 0;) {  // the file lists the fastest first
    out.shape[i] = in.number<std::uint64_t>(where);
    if (out.shape[i] == 0 ||
        out.shape[i] > static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()))
      in.fail(GgufFault::bad_shape, where, " has an extent of ", out.shape[i], " at byte ", in.at() - 8,
              ", it must be from 1 to 2^63 - 1");
  }
  auto const type = find_ggml_type(in.number<std::uint32_t>(where));
  if (!type)
    in.fail(GgufFault::unknown_type, where, " has a type at byte ", in.at() - 4,
            " that the format does not have");
  out.type = *type;
  if (out.shape.back() % block_elements(*type) != 0)
    in.fail(GgufFault::bad_shape, where, " of shape ", shape_text(out.shape), " has rows that are no whole ",
            name_of(*type), " blocks of ", block_elements(*type));
  auto const size = byte_count(*type, out.shape);
  if (!size)
    in.fail(GgufFault::overflow, where, " of shape ", shape_text(out.shape),
            " has more bytes than 64 bits can count");
  out.size = *size;
  out.offset = in.number<std::uint64_t>(where);
  return out;
}

/// Whether the tensors follow one another, aligned, in the order of the header, and end with the file.
inline void check_gguf_places(GgufCursor const& in, GgufHeader const& header, std::uint64_t file_size) {
  std::uint64_t const data = file_size - header.data_begin;
  std::uint64_t reached = 0;
  for (GgufPlace const& t : header.tensors) {
    std::uint64_t const wanted = round_up(reached, header.alignment);
    if (t.offset % header.alignment != 0)
      in.fail(GgufFault::bad_offset, "tensor ", in_quotes(t.name), " begins at byte ", t.offset,
              " of the data, which is no multiple of the alignment ", header.alignment);
    if (t.offset != wanted)
      in.fail(GgufFault::bad_offset, "tensor ", in_quotes(t.name), " begins at byte ", t.offset,
              " of the data, not at ", wanted, ", where the one before ends");
    if (t.offset > data || t.size > data - t.offset)
      in.fail(GgufFault::truncated, "tensor ", in_quotes(t.name), ", ", name_of(t.type), ' ',
              shape_text(t.shape), ", takes ", t.size, " bytes from byte ", t.offset,
              " of the data, but the file has ", data, " bytes of it");
    reached = t.offset + t.size;
  }
  if (data > round_up(reached, header.alignment))
    in.fail(GgufFault::bad_offset, "the last tensor ends at byte ", reached,
            " of the data, but the file has ", data, " bytes of it");
}

/// Reads and checks everything but the tensors' bytes from the beginning of a file of `file_size` bytes.
///
/// errors   GgufError; GgufFault::truncated or over_limit if the beginning ends within the header
[[nodiscard]] inline GgufHeader read_gguf_header(std::span<std::byte const> bytes, std::uint64_t file_size,
                                                 std::string_view file) {
  GgufCursor in(bytes, file);
  GgufHeader out;
  if (std::uint32_t const magic = in.number<std::uint32_t>("the magic"); magic != 0x46554747)  // "GGUF"
    in.fail(GgufFault::bad_magic, "it does not begin with GGUF (is this a GGUF file?)");
  out.version = in.number<std::uint32_t>("the version");
  if (out.version != 2 && out.version != 3)
    in.fail(GgufFault::bad_version, "version ", out.version,
            (out.version & 0xFFFFu) == 0 && out.version != 0
                ? " at byte 4 is that of a big-endian file; convert it"
                : " at byte 4 is not read, only 2 and 3 are");
  auto const tensors = in.number<std::uint64_t>("the count of tensors");
  auto const keys = in.number<std::uint64_t>("the count of keys");
  if (keys > max_gguf_keys || tensors > max_gguf_tensors)
    in.fail(GgufFault::over_limit, "bytes 8-23 announce ", tensors, " tensors and ", keys,
            " keys, the limits are ", max_gguf_tensors, " and ", max_gguf_keys);
  in.expect_room(keys, 8 + 1 + 4 + 1, "the keys");
  read_gguf_metadata(in, keys, out);
  in.expect_room(tensors, 8 + 1 + 4 + 8 + 4 + 8, "the tensors");
  out.tensors.reserve(static_cast<std::size_t>(tensors));
  for (std::uint64_t i = 0; i < tensors; ++i) out.tensors.push_back(read_gguf_place(in));
  std::unordered_set<std::string_view> names;
  for (GgufPlace const& t : out.tensors)
    if (!names.insert(t.name).second)
      in.fail(GgufFault::duplicate, "tensor ", in_quotes(t.name), " is in the header twice");
  // The padding before the data may be missing where no data follow.
  out.data_begin =
      tensors == 0 ? min(round_up(in.at(), out.alignment), file_size) : round_up(in.at(), out.alignment);
  if (out.data_begin > file_size)
    in.fail(GgufFault::truncated, "the data must begin at byte ", out.data_begin, ", the file has ",
            file_size, " bytes");
  check_gguf_places(in, out, file_size);
  return out;
}

}  // namespace detail
}  // namespace aeth::io
