/// Text from outside in messages: short, and without control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "aeth/core/text.hpp"
#include "aeth/data/unicode.hpp"

namespace aeth::data::detail {

/// A part for aeth::text(): the first bytes of text from outside, at most 300; control characters and bytes that are not
/// UTF-8 become '?'. A view: nothing is copied until the message is made.
struct Excerpt {
  static constexpr std::size_t most = 300;
  std::string_view content;

  operator TextPart() const { return {content, &append}; }

  static void append(std::string& out, std::string_view content) {
    for (std::size_t at = 0; at < content.size();) {
      Character const c = decode_utf8(content, at);
      if (at + c.length > most) {
        out += "…";
        return;
      }
      if (c.code == invalid_code || c.code < 0x20 || c.code == 0x7F)
        out += '?';
      else
        out.append(content, at, c.length);
      at += c.length;
    }
  }
};

}  // namespace aeth::data::detail
