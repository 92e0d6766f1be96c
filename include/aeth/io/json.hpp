/// Parsing JSON from files that nobody vouches for. Needs nlohmann-json.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "aeth/core/error.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// Keys are sorted: the library's form that keeps their order takes quadratic time, which a hostile file would use.
using Json = nlohmann::json;

/// Parses text with a limit on depth, and without a silent choice among equal keys. `file` is for messages.
///
/// errors   E (ConfigError, IoError, …) with the byte where the text stops being JSON
/// cost     linear
template <class E>
[[nodiscard]] Json parse_json(std::string_view content, std::string_view file) {
  constexpr int max_depth = 64;
  std::vector<std::unordered_set<std::string>> keys;
  auto const check = [&](int depth, Json::parse_event_t event, Json& value) {
    expect<E>(depth <= max_depth, file, ": JSON deeper than ", max_depth, " levels; is this the right file?");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key)
      expect<E>(keys.back().insert(value.get_ref<std::string&>()).second, file, ": the key ",
                in_quotes(value.get_ref<std::string&>()), " is there twice; remove one of them");
    return true;
  };
  try {
    return Json::parse(content, check);
  } catch (Json::parse_error const& error) {
    throw E(text(file, ": not valid JSON at byte ", error.byte, "; fetch or save the file again"));
  } catch (Json::exception const&) {
    throw E(text(file, ": JSON with a number beyond the range of double; fetch or save the file again"));
  }
}

/// The same for a file of at most `limit` bytes. Errors: also IoError as read_file().
template <class E>
[[nodiscard]] Json read_json(std::string const& path, std::uint64_t limit = std::uint64_t{64} << 20) {
  return parse_json<E>(read_file(path, limit), path);
}

}  // namespace aeth::io
