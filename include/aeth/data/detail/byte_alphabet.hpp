/// The byte-level alphabet of tokenizer.json: each byte is spelled as one printable character.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "aeth/data/unicode.hpp"
#include "aeth/data/vocabulary.hpp"

namespace aeth::data::detail {

/// Code point of each byte: itself if printable in Latin-1, else the next one from U+0100 on, in the order of
/// the bytes.
[[nodiscard]] constexpr std::array<char32_t, 256> byte_letters() noexcept {
  constexpr auto order = byte_order();
  constexpr std::size_t printable = 188;
  std::array<char32_t, 256> letters{};
  for (std::size_t i = 0; i < order.size(); ++i)
    letters[order[i]] = i < printable ? char32_t{order[i]} : static_cast<char32_t>(0x100 + i - printable);
  return letters;
}

/// Bytes as letters, in UTF-8.
[[nodiscard]] inline std::string spell_bytes(std::string_view bytes) {
  static constexpr auto letters = byte_letters();
  std::string out;
  for (char const c : bytes) append_utf8(out, letters[static_cast<unsigned char>(c)]);
  return out;
}

/// Letters back to bytes; false if there is another character among them.
[[nodiscard]] inline bool unspell_bytes(std::string_view spelled, std::string& out) {
  static constexpr auto bytes = [] {
    std::array<int, 0x100 + 68> table{};
    for (int& entry : table) entry = -1;
    constexpr auto letters = byte_letters();
    for (int byte = 0; byte < 256; ++byte) table[letters[static_cast<std::size_t>(byte)]] = byte;
    return table;
  }();
  out.clear();
  for (std::size_t at = 0; at < spelled.size();) {
    Character const c = decode_utf8(spelled, at);
    if (c.code >= bytes.size() || bytes[c.code] < 0) return false;
    out.push_back(static_cast<char>(bytes[c.code]));
    at += c.length;
  }
  return true;
}

}  // namespace aeth::data::detail
