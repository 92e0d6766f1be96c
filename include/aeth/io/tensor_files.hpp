/// The tensors of a checkpoint in one safetensors file or many, read piece by piece. Needs nlohmann-json.
///
/// Only headers are held in memory; bytes come by `read`, so a file that is shortened meanwhile is an error and
/// not the end of the process, and a checkpoint larger than memory can be read through a small window.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/detail/safetensors_header.hpp"
#include "aeth/io/detail/shard_index.hpp"
#include "aeth/io/file_bytes.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// A tensor of a file: what it is and where its bytes are.
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  TensorShape shape;
  std::size_t file = 0;      ///< which of the files
  std::uint64_t offset = 0;  ///< of its first byte in that file
  std::uint64_t size = 0;    ///< in bytes
};

/// Open safetensors files as one list of tensors. Movable; reading is safe from several threads at once.
class TensorFiles {
 public:
  /// A .safetensors file, or a folder with `model.safetensors.index.json` or `model.safetensors`.
  ///
  /// errors   IoError if there is no such file, a shard is missing or lies elsewhere, a tensor is in two shards,
  ///          or index and shards disagree; SafetensorsError for a damaged shard
  /// cost     reads the headers
  explicit TensorFiles(std::string const& path) {
    if (!is_folder(path)) {
      open(path);
    } else if (std::string const index = path + '/' + detail::index_name; is_file(index)) {
      open_shards(path, index);
    } else {
      expect<IoError>(is_file(path + '/' + detail::single_name), "'", path, "' has neither ",
                      detail::index_name, " nor ", detail::single_name,
                      "; give the folder of a checkpoint, or one .safetensors file");
      open(path + '/' + detail::single_name);
    }
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      auto const [other, fresh] = by_name_.emplace(tensors_[i].name, i);
      expect<IoError>(fresh, "tensor ", in_quotes(tensors_[i].name), " is in '",
                      files_[tensors_[other->second].file].path(), "' and in '",
                      files_[tensors_[i].file].path(), "'; remove one of them");
    }
  }
  TensorFiles(TensorFiles&&) = default;
  TensorFiles& operator=(TensorFiles&&) = default;

  /// File by file, in the order of their bytes.
  [[nodiscard]] std::vector<StoredTensor> const& tensors() const noexcept { return tensors_; }
  [[nodiscard]] std::vector<OpenFile> const& files() const noexcept { return files_; }
  /// The notes of the first file.
  [[nodiscard]] Metadata const& metadata() const noexcept { return metadata_; }
  [[nodiscard]] std::string const& path_of(StoredTensor const& tensor) const {
    return files_[tensor.file].path();
  }

  /// The tensor of that name, or null.
  [[nodiscard]] StoredTensor const* find(std::string_view name) const {
    auto const found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
  }

  /// Copies bytes of a tensor from its byte `from` on.
  ///
  /// errors   ShapeError beyond the tensor's bytes; IoError as read_at()
  void read(StoredTensor const& tensor, std::uint64_t from, std::span<std::byte> out) const {
    expect<ShapeError>(from <= tensor.size && out.size() <= tensor.size - from, "tensor ",
                       in_quotes(tensor.name), " has ", tensor.size, " bytes; ", out.size(), " from ", from,
                       " on were asked for");
    OpenFile const& file = files_[tensor.file];
    read_at(file.number(), tensor.offset + from, out.data(), out.size(), file.path());
  }

 private:
  [[nodiscard]] static bool is_file(std::string const& path) noexcept {
    struct ::stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
  }

  void open(std::string const& path) {
    files_.emplace_back(path);
    OpenFile const& file = files_.back();
    std::byte prefix[8] = {};
    std::size_t const given = file.size() < 8 ? 0 : 8;
    read_at(file.number(), 0, prefix, given, path);
    std::uint64_t const length = detail::header_length(std::span(prefix, given), file.size(), path);
    std::string json(static_cast<std::size_t>(length), '\0');
    read_at(file.number(), 8, reinterpret_cast<std::byte*>(json.data()), length, path);
    std::vector<std::size_t> unused;
    detail::HeaderReader header = detail::read_header(json, file.size() - 8 - length, path, unused);
    for (detail::HeaderTensor& t : header.tensors())
      tensors_.push_back({std::move(t.name), t.dtype, std::move(t.shape), files_.size() - 1,
                          8 + length + t.begin, t.end - t.begin});
    if (files_.size() == 1) metadata_ = std::move(header.metadata());
  }

  void open_shards(std::string const& folder, std::string const& index) {
    constexpr std::uint64_t longest_index = std::uint64_t{256} << 20;
    detail::ShardIndex shards = detail::read_shard_index(read_file(index, longest_index), index);
    for (auto& [shard, names] : shards) {
      std::string const path = folder + '/' + shard;
      expect<IoError>(detail::stays_inside(folder, shard), index, ": the shard ", in_quotes(shard),
                      " is a link out of its folder; copy the file instead");
      std::size_t const before = tensors_.size();
      open(path);
      for (std::size_t i = before; i < tensors_.size(); ++i) {
        auto const listed = names.find(tensors_[i].name);
        expect<IoError>(listed != names.end(), path, ": tensor ", in_quotes(tensors_[i].name),
                        " is not listed there by ", index, "; fetch the checkpoint again");
        listed->second = true;
      }
      for (auto const& [name, there] : names)
        expect<IoError>(there, path, ": tensor ", in_quotes(name), " is missing, though ", index,
                        " lists it there; fetch the checkpoint again");
    }
  }

  std::vector<OpenFile> files_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string_view, std::size_t>
      by_name_;  // names live in tensors_, which does not change
  Metadata metadata_;
};

}  // namespace aeth::io
