/// Reading safetensors files, strictly: a file is either understood to the last byte or refused. Needs
/// nlohmann-json.
///
/// A file is the length of its header (8 bytes, lowest first), a JSON header that may end with spaces, and
/// the tensors' bytes one after another without gaps.
///
/// source   the safetensors format description, https://github.com/huggingface/safetensors
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/io/detail/safetensors_header.hpp"
#include "aeth/io/file_bytes.hpp"
#include "aeth/io/safetensors_error.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// The tensors of a file's bytes; those are not copied and must outlive it.
class SafetensorsView {
 public:
  SafetensorsView() = default;

  /// `file` is for messages.
  ///
  /// errors   SafetensorsError, which names the kind of damage and the byte or the tensor
  /// cost     time and memory of the order of the header's length (at most 100 MB); data are not touched
  SafetensorsView(std::span<std::byte const> bytes, std::string_view file) {
    std::uint64_t const length = detail::header_length(bytes, bytes.size(), file);
    read(bytes.subspan(8, static_cast<std::size_t>(length)), bytes.size() - 8 - length, file);
    attach(bytes);
  }

  /// All tensors, in the order of their bytes.
  [[nodiscard]] std::vector<TensorEntry> const& tensors() const noexcept { return tensors_; }
  [[nodiscard]] Metadata const& metadata() const noexcept { return metadata_; }

  /// The tensor of that name, or null. Cost: logarithmic in their number.
  [[nodiscard]] TensorEntry const* find(std::string_view name) const noexcept {
    auto const found =
        std::lower_bound(by_name_.begin(), by_name_.end(), name,
                         [&](std::size_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
    return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
  }

 private:
  friend class SafetensorsFile;

  void read(std::span<std::byte const> header, std::uint64_t data_size, std::string_view file) {
    std::string_view const json(reinterpret_cast<char const*>(header.data()), header.size());
    detail::HeaderReader reader = detail::read_header(json, data_size, file, by_name_);
    metadata_ = std::move(reader.metadata());
    data_begin_ = 8 + header.size();
    tensors_.reserve(reader.tensors().size());
    lengths_.reserve(reader.tensors().size());
    for (detail::HeaderTensor& t : reader.tensors()) {
      tensors_.push_back({std::move(t.name), t.dtype, std::move(t.shape), {}});
      lengths_.push_back(static_cast<std::size_t>(t.end - t.begin));
    }
  }

  void attach(std::span<std::byte const> bytes) noexcept {
    std::size_t at = data_begin_;
    for (std::size_t i = 0; i < tensors_.size(); at += lengths_[i++])
      tensors_[i].bytes = bytes.subspan(at, lengths_[i]);
    lengths_ = {};
  }

  std::vector<TensorEntry> tensors_;
  std::vector<std::size_t> by_name_;
  std::vector<std::size_t> lengths_;  // of the tensors' bytes, until these are there
  std::size_t data_begin_ = 0;
  Metadata metadata_;
};

/// A safetensors file in memory. Movable; the entries' bytes live as long as it does.
class SafetensorsFile {
 public:
  /// The header is read and checked first, so a damaged file of any size is refused at once.
  ///
  /// errors   IoError if the file cannot be read or changes meanwhile; SafetensorsError as SafetensorsView
  /// cost     Access::read needs memory for the whole file
  explicit SafetensorsFile(std::string const& path, Access access = Access::read) : path_(path) {
    OpenFile const file(path);
    std::vector<std::byte> start(file.size() < 8 ? 0 : 8);
    read_at(file.number(), 0, start.data(), start.size(), path);
    std::uint64_t const length = detail::header_length(start, file.size(), path);
    start.resize(static_cast<std::size_t>(8 + length));
    read_at(file.number(), 8, start.data() + 8, length, path);
    view_.read(std::span<std::byte const>(start).subspan(8), file.size() - 8 - length, path);
    content_ = FileBytes(file, access);
    expect<IoError>(std::memcmp(start.data(), content_.bytes().data(), start.size()) == 0, "cannot read '",
                    path, "': it changed while it was read; wait until its writer is done");
    view_.attach(content_.bytes());
  }

  [[nodiscard]] std::string const& path() const noexcept { return path_; }
  /// The whole file, header and all.
  [[nodiscard]] std::span<std::byte const> bytes() const noexcept { return content_.bytes(); }
  [[nodiscard]] std::vector<TensorEntry> const& tensors() const noexcept { return view_.tensors(); }
  [[nodiscard]] Metadata const& metadata() const noexcept { return view_.metadata(); }
  [[nodiscard]] TensorEntry const* find(std::string_view name) const noexcept { return view_.find(name); }

  /// The tensor of that name. Errors: IoError if there is none.
  [[nodiscard]] TensorEntry const& at(std::string_view name) const {
    TensorEntry const* const found = find(name);
    expect<IoError>(found != nullptr, path_, ": it has no tensor ", in_quotes(name),
                    "; check the name, or whether this is the right file");
    return *found;
  }

 private:
  std::string path_;
  SafetensorsView view_;
  FileBytes content_;
};

}  // namespace aeth::io
