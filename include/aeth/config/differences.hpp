/// Which fields two configurations differ in, from what describe() printed of them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/text.hpp"

namespace aeth {
namespace detail {

/// The values of a described configuration by their path, such as mla.rope.theta. Total: text of another form
/// gives other paths or none, nothing worse; paths beyond 200 bytes are left out. Cost: linear but for the map.
[[nodiscard]] inline std::map<std::string, std::string> described_fields(std::string_view description) {
  constexpr std::size_t longest_path = 200;  // bytes; each field repeats its path
  std::map<std::string, std::string> fields;
  std::vector<std::size_t> open;  // lengths of the path outside each brace
  std::string path;
  for (std::size_t at = 0; at < description.size(); ++at) {
    char const c = description[at];
    if (c == '}' && !open.empty()) {
      path.resize(open.back());
      open.pop_back();
    }
    if (c != '.') continue;
    std::size_t const name_end = description.find(" = ", at);
    if (name_end == description.npos) break;
    if (path.size() + (name_end - at) > longest_path) {
      at = name_end + 2;
      continue;
    }
    std::string const name(description.substr(at + 1, name_end - at - 1));
    std::string const full = path.empty() ? name : text(path, '.', name);
    std::size_t const value = name_end + 3;
    if (value < description.size() && description[value] == '{') {
      open.push_back(path.size());
      path = full;
      at = value;
    } else {
      std::size_t const end = description.find_first_of(",}\n", value);
      fields[full] = description.substr(value, end == description.npos ? end : end - value);
      if (end == description.npos) break;
      at = end - 1;
    }
  }
  return fields;
}

}  // namespace detail

/// One line per field that differs: `mla.heads is 8 there and 4 here`; empty if all agree. Both texts come
/// from describe(), perhaps of another version with other fields.
[[nodiscard]] inline std::vector<std::string> differing_fields(std::string_view there,
                                                               std::string_view here) {
  auto const theirs = detail::described_fields(there), ours = detail::described_fields(here);
  std::vector<std::string> lines;
  for (auto const& [name, value] : ours) {
    auto const found = theirs.find(name);
    if (found == theirs.end())
      lines.push_back(text(name, " is not given there and ", value, " here"));
    else if (found->second != value)
      lines.push_back(text(name, " is ", found->second, " there and ", value, " here"));
  }
  for (auto const& [name, value] : theirs)
    if (ours.count(name) == 0) lines.push_back(text(name, " is ", value, " there and unknown here"));
  return lines;
}

}  // namespace aeth
