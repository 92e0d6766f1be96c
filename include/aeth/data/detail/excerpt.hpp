/// Text from outside in messages: short, and without control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "aeth/data/unicode.hpp"

namespace aeth::data::detail {

/// A part for aeth::text(): the first bytes of a text, at most 300; control characters and bytes that are not
/// UTF-8 become '?'. A view: nothing is copied until the message is made.
struct Excerpt {
  static constexpr std::size_t most = 300;
  std::string_view content;
};

inline void append_text(std::string& out, Excerpt part) {
  for (std::size_t at = 0; at < part.content.size();) {
    Character const c = decode_utf8(part.content, at);
    if (at + c.length > Excerpt::most) {
      out += "…";
      return;
    }
    if (c.code == invalid_code || c.code < 0x20 || c.code == 0x7F)
      out += '?';
    else
      out.append(part.content, at, c.length);
    at += c.length;
  }
}

}  // namespace aeth::data::detail
