/// Unicode's normalization form C: characters that look alike become the same bytes.
///
/// source   Unicode Standard Annex 15; Hangul: The Unicode Standard, §3.12
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/data/detail/nfc_joins.hpp"
#include "aeth/data/detail/nfc_parts.hpp"
#include "aeth/data/detail/nfc_row.hpp"
#include "aeth/data/detail/nfc_runs.hpp"
#include "aeth/data/unicode.hpp"

namespace aeth::data {
namespace detail {

/// Canonical combining class, and bit 8 if the character may change or join the one before it. 0: text before
/// the character and from it on are normalized apart.
[[nodiscard]] inline unsigned nfc_traits(char32_t code) noexcept {
  if (code < 0x300 || code > 0x10FFFF) return 0;
  auto const run = std::upper_bound(std::begin(nfc_runs), std::end(nfc_runs), code << 9 | 0x1FF);
  return *std::prev(run) & 0x1FF;
}
[[nodiscard]] inline unsigned combining_class(char32_t code) noexcept {
  return nfc_traits(code) & 0xFF;
}

inline constexpr char32_t hangul_first = 0xAC00, hangul_l = 0x1100, hangul_v = 0x1161, hangul_t = 0x11A7;
inline constexpr char32_t hangul_ls = 19, hangul_vs = 21, hangul_ts = 28;

/// Appends what a character is made of.
inline void decompose(char32_t code, std::vector<char32_t>& out) {
  if (char32_t const syllable = code - hangul_first;
      code >= hangul_first && syllable < hangul_ls * hangul_vs * hangul_ts) {
    out.push_back(hangul_l + syllable / (hangul_vs * hangul_ts));
    out.push_back(hangul_v + syllable / hangul_ts % hangul_vs);
    if (syllable % hangul_ts != 0) out.push_back(hangul_t + syllable % hangul_ts);
    return;
  }
  auto const* const row = std::lower_bound(std::begin(nfc_parts), std::end(nfc_parts), code,
                                           [](NfcRow const& r, char32_t c) { return r.whole < c; });
  if (row == std::end(nfc_parts) || row->whole != code) return out.push_back(code);
  decompose(row->first, out);
  if (row->second != 0) decompose(row->second, out);
}

/// The character that two become, or 0.
[[nodiscard]] inline char32_t join(char32_t first, char32_t second) noexcept {
  if (first - hangul_l < hangul_ls && second - hangul_v < hangul_vs)
    return hangul_first + ((first - hangul_l) * hangul_vs + second - hangul_v) * hangul_ts;
  if (first - hangul_first < hangul_ls * hangul_vs * hangul_ts && (first - hangul_first) % hangul_ts == 0 &&
      second > hangul_t && second - hangul_t < hangul_ts)
    return first + second - hangul_t;
  auto const* const row = std::lower_bound(
      std::begin(nfc_joins), std::end(nfc_joins), second,
      [first](NfcRow const& r, char32_t s) { return r.first != first ? r.first < first : r.second < s; });
  return row != std::end(nfc_joins) && row->first == first && row->second == second ? row->whole : 0;
}

/// Appends the normal form of valid text that is normalized apart from what surrounds it.
inline void append_nfc(std::string_view text, std::string& out) {
  std::vector<char32_t> codes;
  for (std::size_t at = 0; at < text.size();) {
    Character const c = decode_utf8(text, at);
    decompose(c.code, codes);
    at += c.length;
  }
  for (auto at = codes.begin(); at != codes.end();) {
    auto const is_mark = [](char32_t code) { return combining_class(code) != 0; };
    auto const begin = std::find_if(at, codes.end(), is_mark);
    at = std::find_if_not(begin, codes.end(), is_mark);
    std::stable_sort(begin, at,
                     [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
  }
  std::size_t kept = 0, starter = codes.size();
  unsigned last = 0;  // the class of the last character kept after the starter
  for (char32_t const code : codes) {
    unsigned const its_class = combining_class(code);
    bool const touches = starter < kept && (kept == starter + 1 || (last != 0 && last < its_class));
    if (char32_t const whole = touches ? join(codes[starter], code) : 0; whole != 0) {
      codes[starter] = whole;
      continue;
    }
    if (its_class == 0) starter = kept;
    last = its_class;
    codes[kept++] = code;
  }
  for (std::size_t i = 0; i < kept; ++i) append_utf8(out, codes[i]);
}

}  // namespace detail

/// The normal form of a text: the text itself where nothing can change, else in `buffer`. Bytes that are not UTF-8
/// stay. Cost: linear, apart from a logarithm in the length of runs of marks.
[[nodiscard]] inline std::string_view to_nfc(std::string_view text, std::string& buffer) {
  buffer.clear();
  std::size_t copied = 0, begin = 0;  // `begin`: the character that the next one may change
  for (std::size_t at = 0; at < text.size();) {
    Character const c = decode_utf8(text, at);
    if (detail::nfc_traits(c.code) == 0) {
      begin = c.code == invalid_code ? at + 1 : at;
      at += c.length;
      continue;
    }
    while (at < text.size() && detail::nfc_traits(decode_utf8(text, at).code) != 0)
      at += decode_utf8(text, at).length;
    buffer.append(text, copied, begin - copied);
    detail::append_nfc(text.substr(begin, at - begin), buffer);
    copied = begin = at;
  }
  if (copied == 0) return text;
  buffer.append(text, copied);
  return buffer;
}

}  // namespace aeth::data
