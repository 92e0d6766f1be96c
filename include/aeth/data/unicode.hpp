/// Characters of UTF-8 text: decoding that survives any bytes, and the classes that pre-tokenizers ask for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "aeth/data/detail/unicode_table.hpp"

namespace aeth::data {

/// The class of a character; the classes exclude one another. The numbers are those of the generated table.
enum class CharClass : std::uint8_t {
  other = 0,        ///< control, format, private use, unassigned, and bytes that are not UTF-8
  letter = 1,       ///< \p{L}
  mark = 2,         ///< \p{M}
  number = 3,       ///< \p{N}
  punctuation = 4,  ///< \p{P}
  symbol = 5,       ///< \p{S}
  space = 6,        ///< White_Space, which is \s
};

/// Stands for a byte that belongs to no valid character; above every code point.
inline constexpr char32_t invalid_code = 0xFFFFFFFFu;

/// One character of a text.
struct Character {
  char32_t code = invalid_code;
  std::uint32_t length = 1;  ///< bytes it takes: 1 to 4; 1 if invalid
};

/// The character at byte `at` < text.size(). Overlong forms, surrogates, values above U+10FFFF and cut
/// sequences are invalid, one byte at a time.
[[nodiscard]] constexpr Character decode_utf8(std::string_view text, std::size_t at) noexcept {
  auto const byte = [&](std::size_t i) -> std::uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  auto const follows = [](std::uint32_t b) { return (b & 0xC0u) == 0x80u; };
  std::uint32_t const b0 = byte(at);
  if (b0 < 0x80u) return {b0, 1};
  if (b0 < 0xC2u || b0 > 0xF4u) return {};
  std::uint32_t const b1 = byte(at + 1);
  if (!follows(b1)) return {};
  if (b0 < 0xE0u) return {(b0 & 0x1Fu) << 6 | (b1 & 0x3Fu), 2};
  std::uint32_t const b2 = byte(at + 2);
  if (!follows(b2)) return {};
  if (b0 < 0xF0u) {
    std::uint32_t const code = (b0 & 0x0Fu) << 12 | (b1 & 0x3Fu) << 6 | (b2 & 0x3Fu);
    bool const valid = code >= 0x800u && (code < 0xD800u || code > 0xDFFFu);
    return valid ? Character{code, 3} : Character{};
  }
  std::uint32_t const b3 = byte(at + 3);
  std::uint32_t const code = (b0 & 0x07u) << 18 | (b1 & 0x3Fu) << 12 | (b2 & 0x3Fu) << 6 | (b3 & 0x3Fu);
  bool const valid = follows(b3) && code >= 0x10000u && code <= 0x10FFFFu;
  return valid ? Character{code, 4} : Character{};
}

/// Appends the UTF-8 form of a code point <= U+10FFFF to a string.
template <class String>
constexpr void append_utf8(String& out, char32_t code) {
  auto const put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80u) return put(code);
  if (code < 0x800u) {
    put(0xC0u | code >> 6);
  } else {
    if (code < 0x10000u) {
      put(0xE0u | code >> 12);
    } else {
      put(0xF0u | code >> 18);
      put(0x80u | (code >> 12 & 0x3Fu));
    }
    put(0x80u | (code >> 6 & 0x3Fu));
  }
  put(0x80u | (code & 0x3Fu));
}

namespace detail {

/// Binary search in the runs: 12 steps.
[[nodiscard]] constexpr CharClass find_char_class(char32_t code) noexcept {
  std::size_t low = 0, high = std::size(unicode_runs);
  while (high - low > 1) {
    std::size_t const middle = (low + high) / 2;
    if (unicode_runs[middle] >> 3 <= code)
      low = middle;
    else
      high = middle;
  }
  return static_cast<CharClass>(unicode_runs[low] & 7u);
}

inline constexpr std::array<CharClass, 128> ascii_classes = [] {
  std::array<CharClass, 128> classes{};
  for (std::size_t code = 0; code < classes.size(); ++code)
    classes[code] = find_char_class(static_cast<char32_t>(code));
  return classes;
}();

}  // namespace detail

/// The class of a code point; `other` above U+10FFFF.
[[nodiscard]] constexpr CharClass char_class(char32_t code) noexcept {
  if (code < 128) return detail::ascii_classes[code];
  return code > 0x10FFFFu ? CharClass::other : detail::find_char_class(code);
}

/// Count of bytes of a text that belong to no valid character.
[[nodiscard]] constexpr std::size_t count_invalid_utf8(std::string_view text) noexcept {
  std::size_t invalid = 0;
  for (std::size_t at = 0; at < text.size();) {
    Character const c = decode_utf8(text, at);
    invalid += c.code == invalid_code;
    at += c.length;
  }
  return invalid;
}

}  // namespace aeth::data
