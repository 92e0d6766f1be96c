/// The files below a folder, by patterns of their names, in an order that does not depend on the file system.
#pragma once

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "aeth/core/error.hpp"

namespace aeth::io {

/// Whether a name matches a pattern in which `*` is any text and `?` any one byte. Cost: |name| · |pattern|.
[[nodiscard]] constexpr bool matches(std::string_view name, std::string_view pattern) noexcept {
  std::size_t n = 0, p = 0, star = pattern.npos, after_star = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after_star = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != pattern.npos) {
      p = star + 1;
      n = ++after_star;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// The pattern that stands for names without a dot, such as those of C++'s own headers.
inline constexpr std::string_view no_extension = "<no extension>";

/// Paths of all regular files below `folder` whose name matches one of the patterns, sorted by their bytes.
/// Hidden files and folders (names with a dot in front) are left out; links to files are followed, links to
/// folders are not.
///
/// errors   IoError if the folder or one below it cannot be listed
[[nodiscard, gnu::cold]] inline std::vector<std::string> list_files(std::string const& folder,
                                                                    std::span<std::string const> patterns) {
  namespace fs = std::filesystem;
  std::error_code error;
  auto const check = [&](std::string const& path) {
    expect<IoError>(!error, "cannot list '", path, "': ", error.message(),
                    "; check the path and the permissions of the folder");
  };
  std::vector<std::string> paths;
  fs::recursive_directory_iterator at(folder, error);
  check(folder);
  for (; at != fs::recursive_directory_iterator(); at.increment(error), check(folder)) {
    std::string const name = at->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.')) {
      if (at->is_directory(ignored)) at.disable_recursion_pending();
      continue;
    }
    bool const wanted = std::any_of(patterns.begin(), patterns.end(), [&](std::string const& pattern) {
      return pattern == no_extension ? name.find('.') == name.npos : matches(name, pattern);
    });
    if (wanted && at->is_regular_file(ignored)) paths.push_back(at->path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace aeth::io
