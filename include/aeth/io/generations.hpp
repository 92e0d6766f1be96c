/// The saved states of a run: a folder of generations, of which the newest good one is read. Needs nlohmann-json.
///
///   RUN/step-000000123/manifest.json         what the generation consists of, with a hash of every part
///   RUN/step-000000123/NAME.safetensors      tensors, in one file or several
///   RUN/latest                               name of the newest, id of the run
///   RUN/lock                                 who writes here
///
/// A generation is a folder and not one file, so that weights can be used without what only training needs, and so that
/// more files can be part of it; renaming the folder makes all of them appear at once. Nothing is ever written over but
/// `latest`, which is not needed. So at any moment, also after a crash or a power loss, a generation is there whole or not
/// at all. `io/generation_writer.hpp` writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/block_hash.hpp"
#include "aeth/io/detail/generation_folder.hpp"
#include "aeth/io/detail/safetensors_header.hpp"
#include "aeth/io/file_system.hpp"
#include "aeth/io/manifest.hpp"
#include "aeth/io/safetensors.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// Which generations are looked for, by their manifests.
using AcceptGeneration = std::function<bool(Manifest const&)>;

/// A generation in memory, every byte of it verified. Movable; the entries' bytes live as long as it does.
class Generation {
 public:
  /// Reads all files of a generation, or only one of them.
  ///
  /// errors   IoError that names the file, and the tensor where it is one
  /// cost     reads and hashes the files; memory for all of them
  Generation(std::string const& folder, Manifest manifest, std::string_view only = {},
             FileSystem& system = FileSystem::system())
      : manifest_(std::move(manifest)), path_(text(folder, '/', manifest_.name)) {
    for (FileRecord const& record : manifest_.files)
      if (only.empty() || record.name == only) load(record, system);
    expect<IoError>(only.empty() || files_.size() == 1, path_, ": it has no file ", only,
                    "; this is no generation of a training run");
  }

  [[nodiscard]] std::uint64_t step() const noexcept { return manifest_.step; }
  /// Of its folder.
  [[nodiscard]] std::string const& path() const noexcept { return path_; }
  [[nodiscard]] Manifest const& manifest() const noexcept { return manifest_; }
  [[nodiscard]] Metadata const& notes() const noexcept { return manifest_.notes; }

  /// The tensors of one of its files, in the order of their bytes. Errors: IoError if there is no such file.
  [[nodiscard]] std::span<TensorEntry const> tensors(std::string_view file) const {
    return loaded(file).view.tensors();
  }
  /// The notes in one of its files. Errors: as tensors().
  [[nodiscard]] Metadata const& metadata(std::string_view file) const { return loaded(file).view.metadata(); }

  /// What was wrong with newer generations or with `latest`, for the user to read; empty if all is well.
  [[nodiscard]] std::vector<std::string> const& notices() const noexcept { return notices_; }

 private:
  friend Generation newest_generation(std::string const&, std::string_view, FileSystem&,
                                      std::vector<std::string>*, AcceptGeneration const&);

  struct File {
    std::string name;
    detail::OwnBytes content;
    SafetensorsView view;
  };

  [[nodiscard]] File const& loaded(std::string_view name) const {
    for (File const& file : files_)
      if (file.name == name) return file;
    throw IoError(
        text(path_, ": it has no file ", in_quotes(name), "; this is no generation of a training run"));
  }

  void load(FileRecord const& record, FileSystem& system) {
    std::string const path = text(path_, '/', record.name);
    constexpr char damaged[] = "; the file is damaged or from elsewhere";
    File file{record.name, {}, {}};
    file.content = detail::read_own(path, system, [&](std::uint64_t size) {
      expect<IoError>(size == record.size, path, ": it has ", size, " bytes, ", record.size, " were written",
                      damaged);
    });
    std::uint64_t const header = 8 + detail::header_length(file.content.bytes(), record.size, path);
    BlockHash64 hash;
    hash.add(file.content.view().substr(0, static_cast<std::size_t>(header)));
    expect<IoError>(hash.value() == record.header, path, ": its header is not what was written (hash ",
                    hash_text(hash.value()), ", written ", hash_text(record.header), ')', damaged);
    file.view = SafetensorsView(file.content.bytes(), path);
    expect<IoError>(file.view.tensors().size() == record.tensors.size(), path, ": it has ",
                    file.view.tensors().size(), " tensors, ", record.tensors.size(), " were written",
                    damaged);
    for (TensorEntry const& tensor : file.view.tensors()) {
      auto const written = record.tensors.find(tensor.name);
      expect<IoError>(written != record.tensors.end(), path, ": the manifest does not know its tensor ",
                      in_quotes(tensor.name), damaged);
      BlockHash64 bytes;
      bytes.add({reinterpret_cast<char const*>(tensor.bytes.data()), tensor.bytes.size()});
      expect<IoError>(bytes.value() == written->second, path, ": the tensor ", in_quotes(tensor.name),
                      " is not what was written (hash ", hash_text(bytes.value()), ", written ",
                      hash_text(written->second), ')', damaged);
    }
    files_.push_back(std::move(file));
  }

  Manifest manifest_;
  std::string path_;
  std::vector<File> files_;
  std::vector<std::string> notices_;
};

/// The newest good generation of a folder, or one file of it. What had to be passed over is in its notices(), and stays
/// where it is; the names of those generations are added to `bad`. With `accept` those that it refuses do not count.
///
/// errors   IoError if none is good; it names each and what is wrong with it
/// cost     as Generation
[[nodiscard]] inline Generation newest_generation(std::string const& folder, std::string_view only = {},
                                                  FileSystem& system = FileSystem::system(),
                                                  std::vector<std::string>* bad = nullptr,
                                                  AcceptGeneration const& accept = {}) {
  detail::GenerationScan scan = detail::scan_generations(folder, system);
  std::vector<std::string>& notices = scan.notices;
  auto const pass_over = [&](std::string const& name, std::string const& reason) {
    notices.push_back(reason);
    if (bad) bad->push_back(name);
  };
  for (auto const& [name, reason] : scan.bad) pass_over(name, reason);
  for (Manifest& manifest : scan.good) {
    std::string const name = manifest.name;
    if (accept && !accept(manifest)) continue;
    try {
      Generation generation(folder, std::move(manifest), only, system);
      if (!notices.empty())
        notices.push_back(text("using '", generation.path(), "', step ", generation.step()));
      generation.notices_ = std::move(notices);
      return generation;
    } catch (IoError const& error) {
      pass_over(name, error.what());
    }
  }
  std::string message =
      text("no checkpoint in '", folder, "' can be used; give another folder, or start without a checkpoint");
  if (scan.has_older_form)
    message +=
        "\n  step-NUMBER.safetensors there are checkpoints of an earlier form, which this version does not "
        "read";
  for (std::string const& notice : notices) message += "\n  " + notice;
  throw IoError(message);
}

}  // namespace aeth::io
