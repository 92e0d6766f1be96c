/// Cuts text into words as DeepSeek-V3's tokenizer does, in one linear pass without a regex engine.
///
/// Three stages, the patterns of v3_pre_tokenizer(), each of which isolates its matches, so that a later stage
/// sees every piece on its own:
///   1. digits       \p{N}{1,3}
///   2. ideographs   [一-龥぀-ゟ゠-ヿ]+
///   3. words        the alternation in word_end() below
/// Text that no stage matches (control characters, private use, invalid bytes) stays a piece of its own.
///
/// cost     each byte is decoded at most a small fixed number of times; no allocation
/// source   the `pre_tokenizer` of DeepSeek-V3's tokenizer.json
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "aeth/data/unicode.hpp"

namespace aeth::data {
namespace detail {

/// What the patterns ask of a character, as bits; a character has several.
enum Trait : unsigned {
  is_word = 1,      // \p{L} or \p{M}
  is_sign = 2,      // \p{P} or \p{S}
  is_space = 4,     // \s
  is_line_end = 8,  // CR or LF
  is_number = 16,   // \p{N}
  is_ascii_letter = 32,
  is_ideograph = 64,  // of the second pattern
  is_plain = 128,     // neither number nor ideograph: left to the third stage with its neighbours
};

[[nodiscard]] constexpr unsigned traits_of(char32_t code) noexcept {
  constexpr unsigned by_class[] = {0, is_word, is_word, is_number, is_sign, is_sign, is_space};
  unsigned traits = by_class[static_cast<std::size_t>(char_class(code))];
  if (code == '\r' || code == '\n') traits |= is_line_end;
  if ((code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z')) traits |= is_ascii_letter;
  if ((code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF)) traits |= is_ideograph;
  return (traits & (is_number | is_ideograph)) != 0 ? traits : traits | is_plain;
}

inline constexpr std::array<std::uint8_t, 128> ascii_traits = [] {
  std::array<std::uint8_t, 128> traits{};
  for (std::size_t code = 0; code < traits.size(); ++code)
    traits[code] = static_cast<std::uint8_t>(traits_of(static_cast<char32_t>(code)));
  return traits;
}();

/// The traits of one character and its bytes; neither at the end of a piece.
struct Unit {
  unsigned traits = 0;
  std::uint32_t length = 0;

  [[nodiscard]] bool has(unsigned any) const noexcept { return (traits & any) != 0; }
};

[[nodiscard]] inline Unit unit_at(std::string_view piece, std::size_t at) noexcept {
  if (at >= piece.size()) return {};
  if (auto const c = static_cast<unsigned char>(piece[at]); c < 128) return {ascii_traits[c], 1};
  Character const c = decode_utf8(piece, at);
  return {traits_of(c.code), c.length};
}

/// End of the run from `at` on of characters that have one of the traits.
[[nodiscard]] inline std::size_t run_end(std::string_view piece, std::size_t at, unsigned any) noexcept {
  for (Unit unit = unit_at(piece, at); unit.has(any); unit = unit_at(piece, at)) at += unit.length;
  return at;
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+` on white space at `at`. Backtracking gives: up to the last line end of the run;
/// without one, the whole run at the end of the piece, else all but its last character if there are two.
[[nodiscard]] inline std::size_t space_end(std::string_view piece, std::size_t at) noexcept {
  std::size_t end = at, last = at, after_line_end = at;
  for (Unit unit = unit_at(piece, end); unit.has(is_space); unit = unit_at(piece, end)) {
    last = end;
    end += unit.length;
    if (unit.has(is_line_end)) after_line_end = end;
  }
  if (after_line_end > at) return after_line_end;
  return end == piece.size() || last == at ? end : last;
}

/// End of the third pattern's match that starts exactly at `at` < piece.size(), or `at` if there is none.
[[nodiscard]] inline std::size_t word_end(std::string_view piece, std::size_t at) noexcept {
  Unit const first = unit_at(piece, at);
  std::size_t const after = at + first.length;
  // Letters and marks: the optional leading character changes nothing, for a mark may be either.
  if (first.has(is_word)) return run_end(piece, after, is_word);
  Unit const second = unit_at(piece, after);
  if (second.has(is_word)) {
    // One ASCII sign and the ASCII letters that follow; every such sign is in \p{P} or \p{S}.
    bool const ascii = static_cast<unsigned char>(piece[at]) < 128;
    if (ascii && first.has(is_sign) && second.has(is_ascii_letter))
      return run_end(piece, after, is_ascii_letter);
    // One space, control character or the like, then letters and marks.
    if (!first.has(is_sign | is_line_end)) return run_end(piece, after, is_word);
  }
  // Signs with one optional space before them and all line ends after them.
  if (first.has(is_sign) || (piece[at] == ' ' && second.has(is_sign)))
    return run_end(piece, run_end(piece, after, is_sign), is_line_end);
  return first.has(is_space) ? space_end(piece, at) : at;
}

/// The third stage on one piece.
template <class Emit>
void split_words(std::string_view piece, Emit& emit) {
  std::size_t unmatched = 0;
  for (std::size_t at = 0; at < piece.size();) {
    std::size_t const end = word_end(piece, at);
    if (end == at) {
      at += unit_at(piece, at).length;
      continue;
    }
    if (unmatched < at) emit(piece.substr(unmatched, at - unmatched));
    emit(piece.substr(at, end - at));
    unmatched = at = end;
  }
  if (unmatched < piece.size()) emit(piece.substr(unmatched));
}

}  // namespace detail

/// Calls emit(std::string_view) for each word in order. The words are slices of `text`, none is empty, and
/// together they are `text`.
template <class Emit>
void pre_tokenize(std::string_view text, Emit&& emit) {
  for (std::size_t at = 0; at < text.size();) {
    detail::Unit const first = detail::unit_at(text, at);
    std::size_t end = at + first.length;
    if (first.has(detail::is_number)) {
      for (int digits = 1; digits < 3; ++digits)
        if (auto const next = detail::unit_at(text, end); next.has(detail::is_number)) end += next.length;
      emit(text.substr(at, end - at));
    } else {
      end = detail::run_end(text, end, first.traits & (detail::is_ideograph | detail::is_plain));
      detail::split_words(text.substr(at, end - at), emit);
    }
    at = end;
  }
}

/// The words of a text, in order.
[[nodiscard]] inline std::vector<std::string_view> pre_tokenize(std::string_view text) {
  std::vector<std::string_view> words;
  pre_tokenize(text, [&](std::string_view word) { words.push_back(word); });
  return words;
}

}  // namespace aeth::data
