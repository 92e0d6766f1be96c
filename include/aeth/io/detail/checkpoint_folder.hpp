/// The files of a folder of checkpoints: their names, the record of those that are kept, leftovers.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/hash.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io::detail {

inline constexpr std::string_view latest_name = "latest", step_prefix = "step-", step_suffix = ".safetensors";

/// A whole number of only digits, in that base.
[[nodiscard]] inline std::optional<std::uint64_t> parse_number(std::string_view digits, int base = 10) {
  std::uint64_t value = 0;
  auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

/// step-00001234.safetensors; more digits from step 10^8 on.
[[nodiscard]] inline std::string checkpoint_name(std::uint64_t step) {
  std::string digits = text(step);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return text(step_prefix, digits, step_suffix);
}

/// The step in a name; nothing unless it is exactly what checkpoint_name() gives, which has no slash.
[[nodiscard]] inline std::optional<std::uint64_t> step_of(std::string_view name) {
  if (name.size() <= step_prefix.size() + step_suffix.size() || !name.starts_with(step_prefix) ||
      !name.ends_with(step_suffix))
    return std::nullopt;
  auto const step =
      parse_number(name.substr(step_prefix.size(), name.size() - step_prefix.size() - step_suffix.size()));
  return step && checkpoint_name(*step) == name ? step : std::nullopt;
}

/// A line of `latest`: NAME SIZE HASH.
struct CheckpointRecord {
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t hash = 0;
  bool operator==(CheckpointRecord const&) const = default;
};

/// The records in the content of `latest`, newest first; lines that are none go to `notices`. `path` is for messages.
[[nodiscard]] inline std::vector<CheckpointRecord> parse_records(std::string_view rest, std::string_view path,
                                                                 std::vector<std::string>& notices) {
  std::vector<CheckpointRecord> records;
  for (int line = 1; !rest.empty(); ++line) {
    std::size_t const end = rest.find('\n');
    std::string_view const entry = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    std::size_t const first = entry.find(' '), second = entry.rfind(' ');
    std::string_view const name = entry.substr(0, first);
    if (!step_of(name)) {
      notices.push_back(text(path, ", line ", line, ": ", in_quotes(name),
                             " is not the name of a checkpoint in this folder; the line is ignored"));
      continue;
    }
    auto const size =
        first < second ? parse_number(entry.substr(first + 1, second - first - 1)) : std::nullopt;
    auto const hash = first < second && entry.size() == second + 17
                          ? parse_number(entry.substr(second + 1), 16)
                          : std::nullopt;
    if (size && hash)
      records.push_back({std::string(name), *size, *hash});
    else
      notices.push_back(text(path, ", line ", line, ": no size and hash behind the name ", in_quotes(name),
                             "; the line is ignored"));
  }
  return records;
}

/// What `latest` says; that it cannot be read goes to `notices` too.
[[nodiscard]] inline std::vector<CheckpointRecord> read_records(std::string const& folder,
                                                                std::vector<std::string>& notices) {
  std::string const path = text(folder, '/', latest_name);
  try {
    return parse_records(read_file(path, 1u << 16), path, notices);
  } catch (IoError const& error) {
    notices.emplace_back(error.what());
    return {};
  }
}

/// The content of `latest` that parse_records() gives back.
[[nodiscard]] inline std::string records_text(std::vector<CheckpointRecord> const& records) {
  std::string content;
  for (CheckpointRecord const& r : records)
    content += text(r.name, ' ', r.size, ' ', hash_text(r.hash), '\n');
  return content;
}

/// Replaces `latest` in one step.
inline void write_records(std::string const& folder, std::vector<CheckpointRecord> const& records) {
  write_file_atomic(text(folder, '/', latest_name), records_text(records));
}

/// The steps of which the folder has a file (no link, no folder), highest first.
///
/// errors   IoError if the folder cannot be listed
[[nodiscard]] inline std::vector<std::uint64_t> list_steps(std::string const& folder) {
  std::error_code error;
  std::vector<std::uint64_t> steps;
  std::filesystem::directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    auto const step = step_of(at->path().filename().string());
    std::error_code ignored;
    if (step && at->symlink_status(ignored).type() == std::filesystem::file_type::regular)
      steps.push_back(*step);
  }
  expect<IoError>(!error, "cannot list '", folder, "': ", error.message(), "; ", remedy(error.value()));
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

/// Removes what killed processes left half-written: step-….safetensors.tmp-PROCESS and latest.tmp-PROCESS of
/// processes that are gone. Best effort: what cannot be removed stays.
inline void remove_leftovers(std::string const& folder) {
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    std::string const name = at->path().filename().string();
    std::size_t const mark = name.rfind(".tmp-");
    if (mark == name.npos) continue;
    std::string_view const target = std::string_view(name).substr(0, mark);
    auto const process = parse_number(std::string_view(name).substr(mark + 5));
    if ((target != latest_name && !step_of(target)) || !process || *process == 0 || *process > 0x7FFFFFFF)
      continue;
    if (::kill(static_cast<::pid_t>(*process), 0) != 0 && errno == ESRCH) ::unlink(at->path().c_str());
  }
}

}  // namespace aeth::io::detail
