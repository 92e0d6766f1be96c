/// Reading GGUF files, strictly: a file is either understood or refused.
///
/// A file is a header — version, keys with values, tensors with their places — and the tensors' bytes one
/// after another in that order, each beginning at a multiple of the alignment. Versions 2 and 3 are read,
/// little-endian; what the padding holds is not looked at.
///
/// source   the GGUF description, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/detail/gguf_header.hpp"
#include "aeth/io/file_bytes.hpp"
#include "aeth/io/gguf_error.hpp"
#include "aeth/io/gguf_tensor.hpp"
#include "aeth/io/gguf_value.hpp"

namespace aeth::io {

/// The tensors of a file's bytes; those are not copied and must outlive it.
class GgufView {
 public:
  GgufView() = default;

  /// `file` is for messages.
  ///
  /// errors   GgufError, which names the kind of damage and the byte, the key or the tensor
  /// cost     time and memory of the order of the header's length; data are not touched
  GgufView(std::span<std::byte const> bytes, std::string_view file) {
    detail::GgufHeader header = detail::read_gguf_header(bytes, file);
    version_ = header.version;
    alignment_ = header.alignment;
    metadata_ = std::move(header.metadata);
    tensors_.reserve(header.tensors.size());
    for (detail::GgufPlace& t : header.tensors)
      tensors_.push_back({std::move(t.name), t.type, std::move(t.shape),
                          bytes.subspan(static_cast<std::size_t>(header.data_begin + t.offset),
                                        static_cast<std::size_t>(t.size))});
    for (std::size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
  }

  /// All tensors, in the order of their bytes.
  [[nodiscard]] std::vector<GgufTensor> const& tensors() const noexcept { return tensors_; }
  [[nodiscard]] GgufMetadata const& metadata() const noexcept { return metadata_; }
  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
  /// Of the tensors in the file, in bytes.
  [[nodiscard]] std::uint64_t alignment() const noexcept { return alignment_; }

  /// The tensor of that name, or null.
  [[nodiscard]] GgufTensor const* find(std::string const& name) const {
    auto const found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
  }

 private:
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = default_gguf_alignment;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

/// A GGUF file in memory. Movable; the tensors' bytes live as long as it does.
class GgufFile {
 public:
  /// errors   IoError if the file cannot be read or changes meanwhile; GgufError as GgufView
  /// cost     Access::read needs memory for the whole file
  explicit GgufFile(std::string const& path, Access access = Access::read)
      : path_(path), content_(OpenFile(path), access), view_(content_.bytes(), path) {}

  [[nodiscard]] std::string const& path() const noexcept { return path_; }
  [[nodiscard]] std::vector<GgufTensor> const& tensors() const noexcept { return view_.tensors(); }
  [[nodiscard]] GgufMetadata const& metadata() const noexcept { return view_.metadata(); }
  [[nodiscard]] GgufTensor const* find(std::string const& name) const { return view_.find(name); }

  /// The tensor of that name. Errors: IoError if there is none.
  [[nodiscard]] GgufTensor const& at(std::string const& name) const {
    GgufTensor const* const found = find(name);
    expect<IoError>(found != nullptr, path_, ": it has no tensor ", in_quotes(name),
                    "; check the name, or whether this is the right file");
    return *found;
  }

 private:
  std::string path_;
  FileBytes content_;
  GgufView view_;
};

}  // namespace aeth::io
