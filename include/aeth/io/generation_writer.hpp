/// Writing the generations of a run. Needs nlohmann-json.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/block_hash.hpp"
#include "aeth/io/detail/folder_calls.hpp"
#include "aeth/io/detail/generation_folder.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/file_system.hpp"
#include "aeth/io/generations.hpp"
#include "aeth/io/manifest.hpp"
#include "aeth/io/run_lock.hpp"
#include "aeth/io/safetensors_writer.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// Which generations stay when a new one has been written. Bad ones are never removed and do not count: those with a bad
/// manifest, and those of which newest() has found a bad file.
struct KeepOptions {
  std::size_t last = 2;  ///< newest ones; with 1, damage to it leaves none to fall back on
  std::size_t best = 0;  ///< those with the lowest scores, beside the newest
};

/// A safetensors file of a generation, to be written. The tensors' bytes are somebody else's.
struct GenerationFile {
  std::string name;
  std::vector<TensorEntry> tensors{};
  Metadata metadata{};
};

/// A state to be saved.
struct GenerationContent {
  std::uint64_t step = 0;
  std::optional<double> score{};  ///< lower is better; a state without one is never among the best
  Metadata notes{};               ///< what may differ between equal states, such as the seconds they took
  std::vector<GenerationFile> files{};
  AcceptGeneration
      needed{};  ///< the newest that it accepts, or else the oldest, stays whatever KeepOptions say
};

/// What GenerationWriter::write() did.
struct WrittenGeneration {
  std::string path;                  ///< of its folder
  std::uint64_t size = 0;            ///< bytes of its tensors' files
  std::vector<std::string> notices;  ///< what went wrong without harm, such as an old generation that stays
};

/// Writes generations into a run's folder, which it locks. One thread at a time, in the process that made it.
class GenerationWriter {
 public:
  /// Makes the folder if it is missing, and removes what a killed process left unfinished in it. Further generations
  /// belong to the run of those that are there.
  ///
  /// errors   UsageError if the options keep nothing, or naming who else uses the folder; IoError if it cannot be made,
  ///          read or written, or holds generations of several runs
  explicit GenerationWriter(std::string folder, KeepOptions const& keep = {},
                            FileSystem& system = FileSystem::system())
      : system_(system),
        folder_(without_slash(std::move(folder))),
        keep_((expect<UsageError>(keep.last > 0,
                                  "generations: KeepOptions::last is 0; keep at least 1, better 2"),
               keep)),
        lock_((detail::make_folders(folder_, system), RunLock(folder_, system))) {
    tidy_up();
    detail::GenerationScan scan = detail::scan_generations(folder_, system_);
    for (auto const& bad : scan.bad) bad_.push_back(bad.name);
    known_ = std::move(scan.good);
    if (!known_.empty()) sequence_ = known_.front().sequence;
    run_ = scan.run;
    expect<IoError>(!run_.empty() || known_.empty(), "cannot write to '", folder_,
                    "': it holds generations of several runs; give each run a folder of its own");
    if (run_.empty()) run_ = random_id();
  }

  [[nodiscard]] std::string const& folder() const noexcept { return folder_; }
  /// Whether there is any generation, good or bad.
  [[nodiscard]] bool has_generations() const noexcept { return !known_.empty() || !bad_.empty(); }

  /// False in a child of fork(), which shares the lock but must not write.
  [[nodiscard]] bool is_own_process() const noexcept { return ::getpid() == process_; }
  /// errors   UsageError in a child of fork()
  void require_own_process() const {
    expect<UsageError>(is_own_process(), "generations: '", folder_,
                       "' was opened before this process was forked; write from the one that opened it");
  }

  /// As newest_generation(). Bad ones that it finds no longer count as kept.
  [[nodiscard]] Generation newest(AcceptGeneration const& accept = {}) {
    std::vector<std::string> bad;
    Generation generation = newest_generation(folder_, {}, system_, &bad, accept);
    for (std::string& name : bad) {
      std::erase_if(known_, [&](Manifest const& m) { return m.name == name; });
      if (std::find(bad_.begin(), bad_.end(), name) == bad_.end()) bad_.push_back(std::move(name));
    }
    return generation;
  }

  /// Writes FOLDER/step-…/, then FOLDER/latest, then removes generations that need not stay. No copy of the tensors is
  /// made.
  ///
  /// errors   UsageError or ShapeError for names, tensors or notes that make no generation; IoError if it cannot be
  ///          written, and the folder holds what it held before, or that and the whole new generation
  /// cost     one write and one hash over all bytes; a flush to the disk for each file, five more, and one
  ///          for each generation that is removed
  WrittenGeneration write(GenerationContent const& content) {
    require_own_process();
    Manifest manifest;
    manifest.run = run_;
    manifest.step = content.step;
    manifest.notes = content.notes;
    if (content.score && std::isfinite(*content.score)) manifest.score = content.score;
    manifest.sequence = sequence_ + 1;
    manifest.name = free_name(content.step);
    WrittenGeneration done{at(manifest.name), 0, {}};
    std::string const unfinished = at(detail::unfinished_name);
    std::string const latest = detail::latest_text({manifest.name, run_});
    known_.reserve(known_.size() + 1);
    detail::remove_folder_with_files(unfinished, system_);
    if (system_.make_folder(unfinished.c_str()) != 0) throw_io_error("create the folder", unfinished, errno);
    try {
      for (GenerationFile const& file : content.files) {
        manifest.files.push_back(write_tensors(unfinished, done.path, file));
        done.size += manifest.files.back().size;
      }
      write_whole(text(unfinished, '/', detail::manifest_name), text(done.path, '/', detail::manifest_name),
                  manifest_text(manifest));
      flush_folder(unfinished, system_);
      if (system_.rename(unfinished.c_str(), done.path.c_str()) != 0)
        throw_io_error("create", done.path, errno);
    } catch (...) {
      discard(unfinished);
      throw;
    }
    sequence_ = manifest.sequence;
    known_.insert(known_.begin(), std::move(manifest));
    flush_folder(folder_, system_);
    write_file_atomic(at(detail::latest_name), latest, system_);
    remove_older(content.needed, done.notices);
    return done;
  }

  /// Removes every generation, good or bad, and begins another run. Errors: IoError if one cannot be removed.
  void start_over() {
    require_own_process();
    detail::remove_if_there(at(detail::latest_name), system_);
    for (; !bad_.empty(); bad_.pop_back()) remove_generation(bad_.back());
    for (; !known_.empty(); known_.pop_back()) remove_generation(known_.back().name);
    run_ = random_id();
  }

 private:
  [[nodiscard]] std::string at(std::string_view name) const { return text(folder_, '/', name); }

  [[nodiscard]] static std::string without_slash(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
  }

  /// 128 random bits as text.
  [[nodiscard]] static std::string random_id() {
    std::random_device random;
    auto const half = [&] { return hash_text(std::uint64_t{random()} << 32 | random()); };
    std::string id = half();
    return id += half();
  }

  [[nodiscard]] std::string free_name(std::uint64_t step) const {
    for (std::uint64_t copy = 1;; ++copy) {
      std::string name = detail::generation_name(step, copy);
      bool const taken =
          std::find(bad_.begin(), bad_.end(), name) != bad_.end() ||
          std::any_of(known_.begin(), known_.end(), [&](auto const& m) { return m.name == name; });
      if (!taken) return name;
    }
  }

  void write_whole(std::string const& path, std::string const& shown, std::string_view content) const {
    NewFile file(path, shown, system_);
    file.write(content);
    file.finish();
  }

  [[nodiscard]] FileRecord write_tensors(std::string const& folder, std::string const& shown,
                                         GenerationFile const& content) const {
    expect<UsageError>(detail::is_plain_name(content.name) && content.name != detail::manifest_name,
                       "generations: ", in_quotes(content.name),
                       " is no name for a generation's file; use another");
    detail::check_bytes(content.tensors);
    auto const order = detail::file_order(content.tensors);
    std::string const header = detail::header_text(order, content.metadata);
    FileRecord record{content.name, header.size(), 0, {}};
    BlockHash64 header_hash;
    header_hash.add(header);
    record.header = header_hash.value();
    NewFile file(text(folder, '/', content.name), text(shown, '/', content.name), system_);
    file.write(header);
    for (TensorEntry const* const tensor : order) {
      // In parts that are still in the cache when they are written.
      constexpr std::size_t part = std::size_t{1} << 20;
      BlockHash64 hash;
      for (std::string_view rest = detail::as_text(tensor->bytes); !rest.empty();
           rest.remove_prefix(min(part, rest.size()))) {
        hash.add(rest.substr(0, part));
        file.write(rest.substr(0, part));
      }
      record.tensors.emplace(tensor->name, hash.value());
      record.size += tensor->bytes.size();
    }
    file.finish();
    return record;
  }

  /// Removes generations that are neither among the newest nor among the best nor the one that is needed.
  void remove_older(AcceptGeneration const& needed, std::vector<std::string>& notices) {
    std::vector<Manifest const*> by_score;
    for (Manifest const& m : known_)
      if (m.score) by_score.push_back(&m);
    std::stable_sort(by_score.begin(), by_score.end(),
                     [](Manifest const* a, Manifest const* b) { return *a->score < *b->score; });
    by_score.resize(min(by_score.size(), keep_.best));
    auto goal = needed ? std::find_if(known_.begin(), known_.end(), needed) : known_.begin();
    if (goal == known_.end()) --goal;  // until there is one, the oldest
    std::vector<std::string> names;
    for (std::size_t i = keep_.last; i < known_.size(); ++i)
      if (known_.begin() + static_cast<std::ptrdiff_t>(i) != goal &&
          std::find(by_score.begin(), by_score.end(), &known_[i]) == by_score.end())
        names.push_back(known_[i].name);
    for (std::string const& name : names) {
      try {
        remove_generation(name);
        std::erase_if(known_, [&](Manifest const& m) { return m.name == name; });
      } catch (IoError const& error) {
        notices.emplace_back(error.what());
      }
    }
  }

  /// Moves it aside first, so that a crash leaves it whole or not at all.
  void remove_generation(std::string const& name) const {
    std::string const path = at(name), removed = at(detail::removed_name);
    detail::remove_folder_with_files(removed, system_);
    if (system_.rename(path.c_str(), removed.c_str()) != 0) {
      if (errno == ENOENT) return;
      throw_io_error("remove", path, errno);
    }
    flush_folder(folder_, system_);
    detail::remove_folder_with_files(removed, system_);
  }

  /// As good as it can: the next write() tries again.
  void discard(std::string const& path) const noexcept {
    try {
      detail::remove_folder_with_files(path, system_);
    } catch (std::exception const&) {
    }
  }

  /// Removes what killed processes left.
  void tidy_up() const {
    detail::remove_folder_with_files(at(detail::unfinished_name), system_);
    detail::remove_folder_with_files(at(detail::removed_name), system_);
    std::string const temporary = text(detail::latest_name, ".tmp-");
    for (std::string const& name : detail::names_in(folder_, system_))
      if (name.starts_with(temporary)) detail::remove_if_there(at(name), system_);
  }

  FileSystem& system_;
  std::string folder_;
  KeepOptions keep_;
  ::pid_t process_ = ::getpid();
  RunLock lock_;
  std::vector<Manifest> known_;   // good ones as far as their manifests tell, newest first
  std::vector<std::string> bad_;  // names of the others
  std::uint64_t sequence_ = 0;    // highest so far
  std::string run_;
};

}  // namespace aeth::io
