/// Training checkpoints: one safetensors file per step in a folder, of which the last few are kept, and a
/// file `latest` that records them. Needs nlohmann-json.
///
/// At any moment, also after a crash, the folder holds the old generation, the new one, or both, whole.
/// Each file ends with a tensor `aeth.checksum`, a hash of all bytes before it, so that it can be verified
/// alone; `latest` has one line NAME SIZE HASH per kept file, newest first, so that a file of another run is
/// not taken for it. The hashes find accidents, not attackers.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/detail/checkpoint_folder.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/hash.hpp"
#include "aeth/io/safetensors.hpp"
#include "aeth/io/safetensors_writer.hpp"

namespace aeth::io {

/// The tensor that ends each checkpoint, and the notes that mark one.
inline constexpr std::string_view checksum_tensor = "aeth.checksum", checkpoint_note = "aeth.checkpoint",
                                  step_note = "aeth.step";
/// Version of the form of checkpoints, in their note aeth.checkpoint.
inline constexpr std::uint64_t checkpoint_version = 1;

/// What CheckpointWriter::write() did.
struct WrittenCheckpoint {
  std::string path;
  std::uint64_t size = 0;
  std::uint64_t hash = 0;            ///< of the whole file
  std::vector<std::string> notices;  ///< what went wrong without harm, such as an old file that stays
};

/// Writes checkpoints into a folder; one process at a time.
class CheckpointWriter {
 public:
  /// Makes the folder if it is missing, and removes what killed processes left in it. Keeps the last `keep`
  /// checkpoints; with 1, the moment between two leaves no second one to fall back on.
  ///
  /// errors   UsageError if keep is 0; IoError if the folder cannot be made or is none
  explicit CheckpointWriter(std::string folder, std::size_t keep = 2)
      : folder_(std::move(folder)), keep_(keep) {
    expect<UsageError>(keep > 0, "checkpoint: keep is 0; keep at least 1 checkpoint, better 2");
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    expect<IoError>(!error, "cannot create the folder '", folder_, "': ", error.message(), "; ",
                    remedy(error.value()));
    detail::remove_leftovers(folder_);
  }

  /// Writes DIR/step-….safetensors, then DIR/latest, then removes older ones. No copy of the tensors is made.
  ///
  /// errors   UsageError or ShapeError for tensors or notes that make no file; IoError if it cannot be
  ///          written. Older checkpoints stay then.
  /// cost     one write and one hash over all bytes; four flushes to the disk
  WrittenCheckpoint write(std::uint64_t step, std::span<TensorEntry const> tensors, Metadata metadata = {}) {
    expect<UsageError>(
        metadata.emplace(checkpoint_note, text(checkpoint_version)).second &&
            metadata.emplace(step_note, text(step)).second,
        "checkpoint: the notes aeth.checkpoint and aeth.step are written by the library; leave "
        "them out");
    std::string const name = detail::checkpoint_name(step);
    WrittenCheckpoint done;
    done.path = text(folder_, '/', name);
    auto const known = read_known();
    write_file(done, name, tensors, metadata, known);
    detail::CheckpointRecord const record{name, done.size, done.hash};
    auto records = without(known, name);
    records.insert(records.begin(), record);
    if (records.size() > keep_) records.resize(keep_);
    detail::write_records(folder_, records);
    remove_older(records, known, step, done.notices);
    return done;
  }

 private:
  using Records = std::vector<detail::CheckpointRecord>;

  [[nodiscard]] Records read_known() const {
    std::vector<std::string> ignored;  // latest is about to be replaced; the reader reports what is wrong
    Records known = detail::read_records(folder_, ignored);
    std::erase_if(known, [&](auto const& r) {
      std::error_code error;
      return !std::filesystem::exists(text(folder_, '/', r.name), error);
    });
    return known;
  }

  [[nodiscard]] static Records without(Records records, std::string_view name) {
    std::erase_if(records, [&](auto const& r) { return r.name == name; });
    return records;
  }

  void write_file(WrittenCheckpoint& done, std::string const& name, std::span<TensorEntry const> tensors,
                  Metadata const& metadata, Records const& known) const {
    std::uint64_t checksum = 0;
    TensorEntry const last = tensor_entry<std::uint64_t>(std::string(checksum_tensor), {1}, {&checksum, 1});
    detail::check_bytes(tensors);
    auto order = detail::file_order(tensors);
    order.push_back(&last);
    std::string const header = detail::header_text(order, metadata);
    AtomicFile file(done.path);
    Hash64 hash;
    auto const put = [&](std::string_view bytes) {
      hash.add(bytes);
      file.write(bytes);
      done.size += bytes.size();
    };
    put(header);
    for (TensorEntry const* const t : order) {
      if (t == &last) checksum = hash.value();
      put(detail::as_text(t->bytes));
    }
    done.hash = hash.value();
    // Where a file is written again, both are recorded for the moment: a crash may leave either.
    if (without(known, name).size() != known.size()) {
      Records both = known;
      both.insert(both.begin(), {name, done.size, done.hash});
      detail::write_records(folder_, both);
    }
    file.commit();
  }

  /// Removes the files that fell out of the record, and unrecorded ones of earlier steps beyond `keep`.
  void remove_older(Records const& records, Records const& known, std::uint64_t step,
                    std::vector<std::string>& notices) const {
    auto const has = [](Records const& all, std::string const& name) {
      return std::any_of(all.begin(), all.end(), [&](auto const& r) { return r.name == name; });
    };
    std::size_t kept = records.size();
    for (std::uint64_t const other : detail::list_steps(folder_)) {
      std::string const name = detail::checkpoint_name(other);
      if (has(records, name)) continue;
      bool const recorded = has(known, name);
      if (!recorded && (other > step || kept < keep_)) {
        kept += other > step ? 0 : 1;
        continue;
      }
      std::string const path = text(folder_, '/', name);
      if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        notices.push_back(text("cannot remove '", path, "': ", std::generic_category().message(errno), "; ",
                               remedy(errno)));
    }
  }

  std::string folder_;
  std::size_t keep_;
};

/// A verified checkpoint in memory.
class CheckpointReader {
 public:
  /// The newest good checkpoint of a folder: the one that `latest` names first, then the others it names,
  /// then the rest by step. What had to be passed over is in notices().
  ///
  /// errors   IoError if none is good; it names each file and what is wrong with it
  /// cost     reads and hashes the file; memory for all of it
  [[nodiscard]] static CheckpointReader latest(std::string const& folder) {
    std::vector<std::string> notices;
    auto const steps = detail::list_steps(folder);
    auto const records = detail::read_records(folder, notices);
    std::vector<std::string> names;
    auto const add = [&](std::string name) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    };
    for (auto const& record : records) add(record.name);
    for (std::uint64_t const step : steps) add(detail::checkpoint_name(step));
    for (std::string const& name : names) {
      try {
        CheckpointReader reader(folder, name, records);
        if (!notices.empty()) notices.push_back(text("using '", reader.path(), "'"));
        reader.notices_ = std::move(notices);
        return reader;
      } catch (IoError const& error) {
        notices.emplace_back(error.what());
      }
    }
    std::string message = text("no checkpoint in '", folder,
                               "' can be used; give another folder, or start without a checkpoint");
    for (std::string const& notice : notices) message += "\n  " + notice;
    throw IoError(message);
  }

  /// A checkpoint file by its path, verified alone. Errors: IoError if it is not good.
  [[nodiscard]] static CheckpointReader open(std::string const& path) {
    std::size_t const slash = path.rfind('/');
    std::string const folder = slash == path.npos ? "." : path.substr(0, slash);
    return {folder, slash == path.npos ? path : path.substr(slash + 1), {}};
  }

  [[nodiscard]] std::uint64_t step() const noexcept { return step_; }
  [[nodiscard]] std::string const& path() const noexcept { return file_.path(); }
  [[nodiscard]] Metadata const& metadata() const noexcept { return file_.metadata(); }
  /// All tensors but the checksum.
  [[nodiscard]] std::span<TensorEntry const> tensors() const noexcept {
    return std::span(file_.tensors()).first(file_.tensors().size() - 1);
  }
  [[nodiscard]] TensorEntry const* find(std::string_view name) const noexcept { return file_.find(name); }
  /// The tensor of that name. Errors: IoError if there is none.
  [[nodiscard]] TensorEntry const& at(std::string_view name) const { return file_.at(name); }
  /// What was wrong with newer checkpoints or with `latest`, for the user to read; empty if all is well.
  [[nodiscard]] std::vector<std::string> const& notices() const noexcept { return notices_; }

 private:
  using Records = std::vector<detail::CheckpointRecord>;

  /// If there are records of that name, the file must be as one of them says.
  CheckpointReader(std::string const& folder, std::string const& name, Records const& records)
      : file_(open_regular(text(folder, '/', name))) {
    auto const require = [&](bool condition, auto const&... parts) {
      expect<IoError>(condition, path(), ": ", parts...);
    };
    auto const recorded =
        std::find_if(records.begin(), records.end(), [&](auto const& r) { return r.name == name; });
    auto const is_recorded = [&](auto const& as_written) {
      return recorded == records.end() || std::any_of(recorded, records.end(), [&](auto const& r) {
               return r.name == name && as_written(r);
             });
    };
    std::size_t const size = file_.bytes().size();
    require(is_recorded([&](auto const& r) { return r.size == size; }), "it has ", size,
            " bytes, other than were written (see ", detail::latest_name, "); it was cut off or replaced");
    bool const ends = !file_.tensors().empty() && file_.tensors().back().name == checksum_tensor &&
                      file_.tensors().back().dtype == DType::u64 && file_.tensors().back().bytes.size() == 8;
    require(ends, "it does not end with the tensor ", checksum_tensor, "; it is no checkpoint of aeth");
    Hash64 hash;
    hash.add(detail::as_text(file_.bytes().first(size - 8)));
    std::uint64_t checksum = 0;
    std::memcpy(&checksum, file_.bytes().data() + size - 8, 8);
    require(checksum == hash.value(), "its bytes are not those that were written (hash ",
            hash_text(hash.value()), ", written ", hash_text(checksum), "); the file is damaged");
    hash.add(detail::as_text(file_.bytes().last(8)));
    require(is_recorded([&](auto const& r) { return r.hash == hash.value(); }),
            "it is another file than was written here (its hash ", hash_text(hash.value()), " is not in ",
            detail::latest_name, "); was it copied from another run?");
    auto const version = note(checkpoint_note), step = note(step_note);
    require(version && *version <= checkpoint_version, "its note ", checkpoint_note,
            " is not a version up to ", checkpoint_version, "; it was written by a newer aeth");
    require(step.has_value(), "its note ", step_note, " is not a number; it is no checkpoint of aeth");
    auto const named = detail::step_of(name);
    require(!named || *named == *step, "it is of step ", *step, "; was it renamed?");
    step_ = *step;
  }

  /// No links: the folder's files are in the folder.
  [[nodiscard]] static SafetensorsFile open_regular(std::string const& path) {
    std::error_code error;
    expect<IoError>(
        std::filesystem::symlink_status(path, error).type() != std::filesystem::file_type::symlink, path,
        ": it is a symbolic link; put the file itself into the folder");
    return SafetensorsFile(path);
  }

  [[nodiscard]] std::optional<std::uint64_t> note(std::string_view key) const {
    auto const found = metadata().find(key);
    return found == metadata().end() ? std::nullopt : detail::parse_number(found->second);
  }

  SafetensorsFile file_;
  std::uint64_t step_ = 0;
  std::vector<std::string> notices_;
};

}  // namespace aeth::io
