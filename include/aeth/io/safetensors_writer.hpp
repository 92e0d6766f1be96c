/// Writing safetensors files. Needs nlohmann-json.
///
/// Equal tensors and notes give equal files. The data begin at a multiple of 64 bytes and wider types come
/// first, so that each tensor is aligned to its element type.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <nlohmann/json.hpp>

#include "aeth/core/math.hpp"
#include "aeth/io/detail/safetensors_json.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {
namespace detail {

/// A text in quotes as JSON wants it. Errors: UsageError if it is not UTF-8.
[[nodiscard]] inline std::string json_quoted(std::string_view content) {
  try {
    return nlohmann::json(content).dump();
  } catch (nlohmann::json::exception const&) {
    throw UsageError(text("safetensors: ", in_quotes(content), " is not UTF-8; use another name or note"));
  }
}

/// The length of the header and the header itself, for tensors whose bytes follow in this order.
///
/// errors   UsageError for names that are reserved, too long, not UTF-8 or there twice; ShapeError for a shape
///          without a whole number of bytes
[[nodiscard]] inline std::string header_text(std::span<TensorEntry const* const> tensors,
                                             Metadata const& metadata) {
  expect<UsageError>(tensors.size() <= max_safetensors_tensors, "safetensors: ", tensors.size(),
                     " tensors, the limit is ", max_safetensors_tensors, "; split them into several files");
  auto const check_name = [](std::string const& name) {
    expect<UsageError>(name.size() <= max_safetensors_name, "safetensors: the name ", in_quotes(name),
                       " has ", name.size(), " bytes, the limit is ", max_safetensors_name, "; shorten it");
  };
  std::string json = "{";
  for (auto const& [key, value] : metadata) {
    check_name(key);
    json += text(json.size() == 1 ? R"("__metadata__":{)" : ",", json_quoted(key), ':', json_quoted(value));
  }
  if (!metadata.empty()) json += '}';
  std::unordered_set<std::string_view> names;
  std::uint64_t begin = 0;
  for (TensorEntry const* const t : tensors) {
    check_name(t->name);
    expect<UsageError>(t->name != "__metadata__" && names.insert(t->name).second, "safetensors: the name ",
                       in_quotes(t->name), " is reserved or given twice; use another");
    auto const size = byte_count(t->dtype, t->shape);
    expect<ShapeError>(t->shape.size() <= max_safetensors_rank && size, "safetensors: tensor ",
                       in_quotes(t->name), ": ", name_of(t->dtype), ' ', shape_text(t->shape),
                       " is no number of bytes that a file can hold");
    json += text(json.size() == 1 ? "" : ",", json_quoted(t->name), R"(:{"dtype":")", name_of(t->dtype),
                 R"(","shape":[)");
    for (std::size_t i = 0; i < t->shape.size(); ++i) json += text(i > 0 ? "," : "", t->shape[i]);
    json += text(R"(],"data_offsets":[)", begin, ',', begin + *size, "]}");
    begin += *size;
  }
  json += '}';
  json.resize(round_up(json.size() + 8, std::size_t{64}) - 8, ' ');
  expect<UsageError>(json.size() <= max_safetensors_header, "safetensors: names, shapes and notes take ",
                     json.size(), " bytes, the limit is ", max_safetensors_header,
                     "; shorten them or split the file");
  std::uint64_t const length = json.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + json;
}

/// The tensors in the order of a file: wider types first, otherwise as given.
[[nodiscard]] inline std::vector<TensorEntry const*> file_order(std::span<TensorEntry const> tensors) {
  std::vector<TensorEntry const*> order;
  order.reserve(tensors.size());
  for (TensorEntry const& t : tensors) order.push_back(&t);
  std::stable_sort(order.begin(), order.end(), [](TensorEntry const* a, TensorEntry const* b) {
    return bits_of(a->dtype) > bits_of(b->dtype);
  });
  return order;
}

/// errors   ShapeError if the bytes of a tensor are not those of its shape
inline void check_bytes(std::span<TensorEntry const> tensors) {
  for (TensorEntry const& t : tensors)
    expect<ShapeError>(byte_count(t.dtype, t.shape) == std::uint64_t{t.bytes.size()}, "safetensors: tensor ",
                       in_quotes(t.name), " has ", t.bytes.size(), " bytes, which are not ", name_of(t.dtype),
                       ' ', shape_text(t.shape));
}

/// Bytes as text, for functions that write.
[[nodiscard]] inline std::string_view as_text(std::span<std::byte const> bytes) noexcept {
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

}  // namespace detail

/// A file whose tensors are made while it is written, so that none of them needs to exist as a whole. Nothing
/// is at the path before commit().
class SafetensorsWriter {
 public:
  /// Takes names, types and shapes; bytes are ignored. Keeps `tensors`, which must live as long as this.
  ///
  /// errors   UsageError or ShapeError for tensors that make no file, before anything is written; IoError as
  ///          AtomicFile, here and in the other members
  SafetensorsWriter(std::string const& path, std::span<TensorEntry const> tensors,
                    Metadata const& metadata = {})
      : path_(path),
        order_(detail::file_order(tensors)),
        header_(detail::header_text(order_, metadata)),
        file_(path) {
    for (TensorEntry const* const t : order_) missing_ += *byte_count(t->dtype, t->shape);
    file_.write(header_);
  }

  /// The order in which the tensors' bytes must come: wider types first, otherwise as given.
  [[nodiscard]] std::vector<TensorEntry const*> const& order() const noexcept { return order_; }

  /// The next bytes of the tensors, in parts of any size.
  void write(std::span<std::byte const> bytes) {
    expect<ShapeError>(bytes.size() <= missing_, "safetensors: more bytes for '", path_,
                       "' than its tensors have");
    missing_ -= bytes.size();
    file_.write(detail::as_text(bytes));
  }

  /// Errors: also ShapeError if bytes are missing.
  void commit() {
    expect<ShapeError>(missing_ == 0, "safetensors: '", path_, "' lacks the last ", missing_,
                       " bytes of its tensors");
    file_.commit();
  }

 private:
  std::string path_;
  std::vector<TensorEntry const*> order_;
  std::string header_;
  AtomicFile file_;
  std::uint64_t missing_ = 0;
};

/// Writes a file in one step; after a failure at any moment the path holds its old content. The tensors'
/// bytes go to the file directly, no copy of them is made.
///
/// errors   as SafetensorsWriter; ShapeError if the bytes of a tensor are not those of its shape
inline void write_safetensors(std::string const& path, std::span<TensorEntry const> tensors,
                              Metadata const& metadata = {}) {
  detail::check_bytes(tensors);
  SafetensorsWriter file(path, tensors, metadata);
  for (TensorEntry const* const t : file.order()) file.write(t->bytes);
  file.commit();
}

}  // namespace aeth::io
