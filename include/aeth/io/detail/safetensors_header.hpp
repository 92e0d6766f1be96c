/// The header of a safetensors file: its length, its JSON, and whether the tensors fill the file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "aeth/io/detail/safetensors_json.hpp"
#include "aeth/io/safetensors_error.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io::detail {

/// The length of the header, from the file's first bytes and its size. Checked before anything is allocated.
///
/// errors   SafetensorsError
[[nodiscard]] inline std::uint64_t header_length(std::span<std::byte const> first, std::uint64_t file_size,
                                                 std::string_view file) {
  HeaderReader const reader(file);
  if (file_size < 8 || first.size() < 8)
    reader.fail(SafetensorsFault::too_short, "it has ", file_size,
                " bytes, and the length of its header alone takes 8");
  std::uint64_t length = 0;
  std::memcpy(&length, first.data(), 8);
  if (length < 2)
    reader.fail(SafetensorsFault::bad_length, "bytes 0-7 give a header of ", length,
                " bytes, the least is 2");
  if (length > max_safetensors_header)
    reader.fail(SafetensorsFault::bad_length, "bytes 0-7 give a header of ", length, " bytes, the limit is ",
                max_safetensors_header, " (is this a safetensors file?)");
  if (length > file_size - 8)
    reader.fail(SafetensorsFault::bad_length, "bytes 0-7 give a header of ", length, " bytes, but only ",
                file_size - 8, " follow");
  return length;
}

/// Whether each tensor's shape makes up its bytes, and all of them the data behind the header. Sorts the
/// tensors by place.
inline void check_places(HeaderReader& reader, std::uint64_t data_size) {
  for (HeaderTensor const& t : reader.tensors()) {
    if (t.begin > t.end || t.end > data_size)
      reader.fail(SafetensorsFault::bad_offsets, "tensor ", in_quotes(t.name), " has data_offsets [", t.begin,
                  ", ", t.end, "]; they must rise and end within the ", data_size, " bytes of data");
    auto const elements = element_count(t.shape);
    if (!elements || *elements > ~std::uint64_t{0} / bits_of(t.dtype))
      reader.fail(SafetensorsFault::overflow, "tensor ", in_quotes(t.name), " of shape ", shape_text(t.shape),
                  " has more bytes than 64 bits can count");
    auto const bytes = byte_count(t.dtype, t.shape);
    if (!bytes)
      reader.fail(SafetensorsFault::mismatch, "tensor ", in_quotes(t.name), ": ", name_of(t.dtype), ' ',
                  shape_text(t.shape), " does not end with a whole byte");
    if (*bytes != t.end - t.begin)
      reader.fail(SafetensorsFault::mismatch, "tensor ", in_quotes(t.name), ": ", name_of(t.dtype), ' ',
                  shape_text(t.shape), " takes ", *bytes, " bytes, its data_offsets [", t.begin, ", ", t.end,
                  "] give ", t.end - t.begin);
  }
  auto& tensors = reader.tensors();
  std::sort(tensors.begin(), tensors.end(), [](HeaderTensor const& a, HeaderTensor const& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end != b.end ? a.end < b.end : a.name < b.name;
  });
  std::uint64_t reached = 0;
  for (HeaderTensor const& t : tensors) {
    if (t.begin != reached)
      reader.fail(SafetensorsFault::bad_offsets, "tensor ", in_quotes(t.name), " begins at byte ", t.begin,
                  " of the data, ",
                  t.begin < reached ? "inside the one before, which" : "behind a gap: the one before",
                  " ends at ", reached);
    reached = t.end;
  }
  if (reached != data_size)
    reader.fail(SafetensorsFault::bad_offsets, "the last tensor ends at byte ", reached,
                " of the data, but the file has ", data_size, " bytes of it");
}

/// Parses and checks the JSON of a header; tensors come back in the order of their bytes, `by_name` lists
/// them by name.
///
/// errors   SafetensorsError
[[nodiscard]] inline HeaderReader read_header(std::string_view json, std::uint64_t data_size,
                                              std::string_view file, std::vector<std::size_t>& by_name) {
  HeaderReader reader(file);
  if (json.front() != '{')
    reader.fail(SafetensorsFault::bad_json, "the header begins with byte ",
                static_cast<int>(static_cast<unsigned char>(json.front())),
                " at byte 8 of the file, not with '{'");
  std::size_t const zero = json.find('\0');  // the parser would take it for the end
  if (zero != json.npos)
    reader.fail(SafetensorsFault::bad_json, "the header has a NUL at byte ", 8 + zero,
                " of the file; only spaces may pad it");
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);

  auto const& tensors = reader.tensors();
  by_name.resize(tensors.size());
  std::iota(by_name.begin(), by_name.end(), std::size_t{0});
  auto const sort_names = [&] {
    std::sort(by_name.begin(), by_name.end(),
              [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });
  };
  sort_names();
  for (std::size_t i = 1; i < by_name.size(); ++i)
    if (tensors[by_name[i]].name == tensors[by_name[i - 1]].name)
      reader.fail(SafetensorsFault::duplicate, "tensor ", in_quotes(tensors[by_name[i]].name),
                  " is in the header twice");
  check_places(reader, data_size);
  sort_names();
  return reader;
}

}  // namespace aeth::io::detail
