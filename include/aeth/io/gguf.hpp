/// Reading GGUF files, strictly: a file is either understood or refused.
///
/// A file is a header — version, keys with values, tensors with their places — and the tensors' bytes one
/// after another in that order, each beginning at a multiple of the alignment. Versions 2 and 3 are read,
/// little-endian; what the padding holds is not looked at.
///
/// source   the GGUF description, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
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
    detail::GgufHeader header = detail::read_gguf_header(bytes, bytes.size(), file);
    version_ = header.version;
    alignment_ = header.alignment;
    metadata_ = std::move(header.metadata);
    tensors_.reserve(header.tensors.size());
    for (GgufPlace& t : header.tensors)
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

/// An open GGUF file of which only the header is in memory. Movable; reading is safe from several threads at once.
///
/// Bytes come by `read`, so a file that is shortened meanwhile is an error and not the end of the process.
class GgufFile {
 public:
  /// Longest header that is read: ten times those of released models.
  static constexpr std::uint64_t max_header_bytes = std::uint64_t{256} << 20;

  /// errors   IoError if the file cannot be read; GgufError as GgufView, and for a longer header
  /// cost     time and memory of the order of the header's length
  explicit GgufFile(std::string const& path) : file_(path) {
    detail::GgufHeader header = read_header();
    metadata_ = std::move(header.metadata);
    tensors_ = std::move(header.tensors);
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      tensors_[i].offset += header.data_begin;
      by_name_.emplace(tensors_[i].name, i);
    }
  }

  [[nodiscard]] std::string const& path() const noexcept { return file_.path(); }
  [[nodiscard]] OpenFile const& file() const noexcept { return file_; }
  /// In the order of their bytes.
  [[nodiscard]] std::vector<GgufPlace> const& tensors() const noexcept { return tensors_; }
  [[nodiscard]] GgufMetadata const& metadata() const noexcept { return metadata_; }

  /// The tensor of that name, or null.
  [[nodiscard]] GgufPlace const* find(std::string const& name) const {
    auto const found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
  }

  /// The tensor of that name. Errors: IoError if there is none.
  [[nodiscard]] GgufPlace const& at(std::string const& name) const {
    GgufPlace const* const found = find(name);
    expect<IoError>(found != nullptr, path(), ": it has no tensor ", in_quotes(name),
                    "; check the name, or whether this is the right file");
    return *found;
  }

  /// All elements of a tensor of this file, converted to T.
  ///
  /// errors   as copy_values(GgufTensor); IoError as read_at()
  template <std::floating_point T>
  [[nodiscard]] std::vector<T> values_of(GgufPlace const& tensor) const {
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.size));
    read_at(file_.number(), tensor.offset, bytes.data(), bytes.size(), path());
    return io::values_of<T>(GgufTensor{tensor.name, tensor.type, tensor.shape, bytes});
  }

 private:
  /// Nothing says how long a header is, so more and more is read until it ends.
  [[nodiscard]] detail::GgufHeader read_header() const {
    std::vector<std::byte> beginning;
    for (std::uint64_t wanted = std::uint64_t{1} << 20;; wanted *= 4) {
      std::size_t const there = beginning.size();
      beginning.resize(static_cast<std::size_t>(min(min(wanted, max_header_bytes), file_.size())));
      read_at(file_.number(), there, beginning.data() + there, beginning.size() - there, path());
      try {
        return detail::read_gguf_header(beginning, file_.size(), path());
      } catch (GgufError const& error) {
        bool const cut = error.fault == GgufFault::truncated || error.fault == GgufFault::over_limit;
        if (!cut || beginning.size() == file_.size()) throw;
        if (beginning.size() == max_header_bytes)
          throw GgufError(GgufFault::over_limit, text(path(), ": its header is damaged or longer than ",
                                                      max_header_bytes, " bytes; copy or write it again"));
      }
    }
  }

  OpenFile file_;
  std::vector<GgufPlace> tensors_;
  GgufMetadata metadata_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace aeth::io
