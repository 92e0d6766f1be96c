/// The names in a run's folder, and what can be told of its generations without their tensors.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/detail/folder_calls.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/file_system.hpp"
#include "aeth/io/manifest.hpp"

namespace aeth::io::detail {

inline constexpr std::string_view step_prefix = "step-", manifest_name = "manifest.json",
                                  latest_name = "latest";
/// Folders of a generation that is being written, and of one that is being removed.
inline constexpr std::string_view unfinished_name = "unfinished", removed_name = "removed";

/// Longest manifest, in bytes: ten times that of a model with the tensors of DeepSeek-V3.
inline constexpr std::uint64_t manifest_limit = std::uint64_t{256} << 20;

/// step-000001234; more digits from step 10^9 on. A step that is saved again has its copy's number behind it:
/// step-000001234.2.
[[nodiscard]] inline std::string generation_name(std::uint64_t step, std::uint64_t copy = 1) {
  std::string digits = text(step);
  if (digits.size() < 9) digits.insert(0, 9 - digits.size(), '0');
  return copy == 1 ? text(step_prefix, digits) : text(step_prefix, digits, '.', copy);
}

/// The step in a name; nothing unless it is exactly what generation_name() gives.
[[nodiscard]] inline std::optional<std::uint64_t> step_of(std::string_view name) {
  if (!name.starts_with(step_prefix)) return std::nullopt;
  std::size_t const dot = name.find('.');
  auto const step = parse_number(name.substr(step_prefix.size(), dot - step_prefix.size()));
  auto const copy = dot == name.npos ? std::uint64_t{1} : parse_number(name.substr(dot + 1));
  return step && copy && generation_name(*step, *copy) == name ? step : std::nullopt;
}

/// The bytes of a file, which are nobody else's.
struct OwnBytes {
  std::unique_ptr<std::byte[]> data;
  std::size_t size = 0;

  [[nodiscard]] std::span<std::byte const> bytes() const noexcept { return {data.get(), size}; }
  [[nodiscard]] std::string_view view() const noexcept {
    return {reinterpret_cast<char const*>(data.get()), size};
  }
};

/// Reads a regular file that is no link, whose size check(size) accepts. Never waits for a pipe.
///
/// errors   IoError; what `check` throws, before memory is taken
template <class Check>
[[nodiscard]] OwnBytes read_own(std::string const& path, FileSystem& system, Check const& check) {
  FileDescriptor const file = FileDescriptor::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, system);
  expect<IoError>(file.is_open() || errno != ELOOP, "cannot open '", path,
                  "': it is a symbolic link; put the file itself there");
  if (!file.is_open()) throw_io_error("open", path, errno);
  std::int64_t const size = system.size(file.number());
  expect<IoError>(size >= 0 || errno != EINVAL, "cannot read '", path, "': it is no regular file; remove it");
  if (size < 0) throw_io_error("inspect", path, errno);
  check(static_cast<std::uint64_t>(size));
  OwnBytes own{std::unique_ptr<std::byte[]>(new std::byte[static_cast<std::size_t>(size)]),
               static_cast<std::size_t>(size)};
  for (std::size_t done = 0; done < own.size;) {
    std::size_t const part = min(own.size - done, std::size_t{1} << 30);
    ::ssize_t const got =
        uninterrupted([&] { return system.read(file.number(), own.data.get() + done, part); });
    if (got < 0) throw_io_error("read", path, errno);
    expect<IoError>(got > 0, "cannot read '", path, "': it ends at byte ", done, " of ", own.size,
                    "; something else is writing to it");
    done += static_cast<std::size_t>(got);
  }
  return own;
}

/// The same for a file of at most `limit` bytes.
[[nodiscard]] inline OwnBytes read_own_up_to(std::uint64_t limit, std::string const& path,
                                             FileSystem& system) {
  return read_own(path, system, [&](std::uint64_t size) {
    expect<IoError>(size <= limit, "cannot read '", path, "': it has ", size, " bytes, the limit is ", limit,
                    "; it is not what its name says");
  });
}

/// What the file `latest` says: the newest generation when it was written, and the run that the folder is of. The order
/// of generations is in their manifests; `latest` is there to tell that one is missing or does not belong here.
struct Latest {
  std::string name, run;
};

/// NAME RUN HASH, where the hash is of what stands before it.
[[nodiscard]] inline std::string latest_text(Latest const& latest) {
  std::string const content = text(latest.name, ' ', latest.run, ' ');
  return text(content, hash_text(hash64(content)), '\n');
}

/// Nothing if it is not what latest_text() gives.
[[nodiscard]] inline std::optional<Latest> parse_latest(std::string_view content) {
  std::size_t const first = content.find(' '), second = content.find(' ', first + 1);
  if (first == content.npos || second == content.npos) return std::nullopt;
  Latest latest{std::string(content.substr(0, first)),
                std::string(content.substr(first + 1, second - first - 1))};
  return step_of(latest.name) && latest_text(latest) == content ? std::optional(std::move(latest))
                                                                : std::nullopt;
}

/// A generation that cannot be used, and the message that says why.
struct BadGeneration {
  std::string name, reason;
};

/// The generations of a folder.
struct GenerationScan {
  std::vector<Manifest> good;        ///< newest first; their tensors have not been looked at
  std::vector<BadGeneration> bad;    ///< those that a manifest is enough to refuse
  std::vector<std::string> notices;  ///< what is wrong with `latest`
  std::string run;                   ///< empty if there is no generation, or those of several and no `latest`
  bool has_older_form = false;       ///< step-NUMBER.safetensors, which earlier versions wrote
};

/// Opens the folder of a generation and reads what is in it but the tensors.
///
/// errors   IoError that names the file or the field, if the manifest is not that of this name
[[nodiscard]] inline Manifest read_manifest(std::string const& folder, std::string const& name,
                                            FileSystem& system) {
  std::string const inside = text(folder, '/', name), path = text(inside, '/', manifest_name);
  expect<IoError>(FileDescriptor::open(inside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, system).is_open() ||
                      (errno != ELOOP && errno != ENOTDIR),
                  "cannot open '", inside, "': it is no folder; put the generation's own folder there");
  Manifest manifest = parse_manifest(read_own_up_to(manifest_limit, path, system).view(), path);
  expect<IoError>(manifest.name == name, path, ": the field \"name\" is ", in_quotes(manifest.name),
                  ", its folder is called ", name, "; was it renamed?");
  expect<IoError>(step_of(name) == manifest.step, path, ": the field \"step\" is ", manifest.step,
                  ", not that of its folder ", name, "; the manifest was written by another program");
  return manifest;
}

/// errors   IoError if the folder cannot be listed
[[nodiscard]] inline GenerationScan scan_generations(std::string const& folder, FileSystem& system) {
  std::vector<std::string> names = names_in(folder, system);
  std::sort(names.begin(), names.end());
  GenerationScan scan;
  std::optional<Latest> latest;
  for (std::string const& name : names) {
    scan.has_older_form |= name.starts_with(step_prefix) && name.ends_with(".safetensors");
    if (!step_of(name)) continue;
    try {
      scan.good.push_back(read_manifest(folder, name, system));
    } catch (IoError const& error) {
      scan.bad.push_back({name, error.what()});
    }
  }
  if (scan.good.empty() && scan.bad.empty()) return scan;
  std::string const path = text(folder, '/', latest_name);
  try {
    latest = parse_latest(read_own_up_to(4096, path, system).view());
    if (!latest)
      scan.notices.push_back(text(path,
                                  ": its bytes are not those that were written; it is not needed, and the "
                                  "next generation replaces it"));
  } catch (IoError const& error) {
    scan.notices.emplace_back(error.what());
  }
  if (latest && !std::binary_search(names.begin(), names.end(), latest->name))
    scan.notices.push_back(text(path, ": it names ", latest->name,
                                ", which is missing; bring it back if an older generation is not wanted"));
  auto const other_run = [&](Manifest const& m) { return m.run != scan.run; };
  if (latest)
    scan.run = latest->run;
  else if (!scan.good.empty())
    scan.run = scan.good.front().run;
  bool const unclear = !latest && std::any_of(scan.good.begin(), scan.good.end(), other_run);
  for (Manifest const& m : scan.good)
    if (unclear || other_run(m))
      scan.bad.push_back(
          {m.name,
           text(folder, '/', m.name, '/', manifest_name, ": the field \"run\" is ", in_quotes(m.run),
                unclear ? std::string(", others here have another, and without 'latest' nothing tells "
                                      "which are this folder's; move those of the other run away")
                        : text(", that of this folder is ", in_quotes(scan.run),
                               "; it is of another run, move it to a folder of its own"))});
  std::erase_if(scan.good, [&](Manifest const& m) { return unclear || other_run(m); });
  if (unclear) scan.run.clear();
  // Equal numbers come from a newer one that could not be read when the next was written.
  auto const rank = [&](Manifest const& m) {
    return std::tuple(m.sequence, latest && m.name == latest->name, m.step);
  };
  std::sort(scan.good.begin(), scan.good.end(),
            [&](Manifest const& a, Manifest const& b) { return rank(a) > rank(b); });
  return scan;
}

}  // namespace aeth::io::detail
