/// Cuts text into words as DeepSeek-V3's tokenizer does, in one linear pass without a regex engine.
///
/// Three stages, each of which isolates its matches, so that a later stage sees every piece on its own:
///   1. digits       \p{N}{1,3}
///   2. ideographs   [一-龥぀-ゟ゠-ヿ]+
///   3. words        the alternation in word_end() below
/// Text that no stage matches (control characters, private use, invalid bytes) stays a piece of its own.
///
/// cost     each byte is decoded at most a small fixed number of times; no allocation
/// source   the `pre_tokenizer` of DeepSeek-V3's tokenizer.json
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "aeth/data/unicode.hpp"

namespace aeth::data {

/// The patterns as tokenizer.json spells them, in the order in which they apply.
inline constexpr std::string_view v3_split_patterns[] = {
    R"(\p{N}{1,3})",
    R"([一-龥぀-ゟ゠-ヿ]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
    R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

namespace detail {

/// A character with its class, or nothing (length 0) at the end of a piece.
struct Unit {
  char32_t code = invalid_code;
  std::uint32_t length = 0;
  CharClass kind = CharClass::other;

  [[nodiscard]] bool is_word() const noexcept { return kind == CharClass::letter || kind == CharClass::mark; }
  [[nodiscard]] bool is_sign() const noexcept {
    return kind == CharClass::punctuation || kind == CharClass::symbol;
  }
  [[nodiscard]] bool is_line_end() const noexcept { return code == '\r' || code == '\n'; }
  [[nodiscard]] bool is_ascii_letter() const noexcept {
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
  }
  [[nodiscard]] bool is_ideograph() const noexcept {
    return (code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF);
  }
};

[[nodiscard]] inline Unit unit_at(std::string_view piece, std::size_t at) noexcept {
  if (at >= piece.size()) return {};
  if (unsigned char const c = static_cast<unsigned char>(piece[at]); c < 128) return {c, 1, ascii_classes[c]};
  Character const c = decode_utf8(piece, at);
  return {c.code, c.length, char_class(c.code)};
}

/// End of the run of units from `at` on for which `belongs` holds.
template <class Belongs>
[[nodiscard]] std::size_t run_end(std::string_view piece, std::size_t at, Belongs belongs) noexcept {
  while (at < piece.size()) {
    Unit const unit = unit_at(piece, at);
    if (!belongs(unit)) break;
    at += unit.length;
  }
  return at;
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+` on white space at `at`. Backtracking gives: up to the last line end of the run;
/// without one, the whole run at the end of the piece, else all but its last character if there are two.
[[nodiscard]] inline std::size_t space_end(std::string_view piece, std::size_t at) noexcept {
  std::size_t end = at, last = at, after_line_end = at;
  for (Unit unit = unit_at(piece, end); unit.kind == CharClass::space; unit = unit_at(piece, end)) {
    last = end;
    end += unit.length;
    if (unit.is_line_end()) after_line_end = end;
  }
  if (after_line_end > at) return after_line_end;
  return end == piece.size() || last == at ? end : last;
}

/// End of the third pattern's match that starts exactly at `at`, or `at` if there is none.
[[nodiscard]] inline std::size_t word_end(std::string_view piece, std::size_t at) noexcept {
  auto const is_word = [](Unit const& u) { return u.is_word(); };
  auto const is_sign = [](Unit const& u) { return u.is_sign(); };
  auto const is_line_end = [](Unit const& u) { return u.is_line_end(); };
  Unit const first = unit_at(piece, at);
  std::size_t const after = at + first.length;
  // Letters and marks: the optional leading character changes nothing, for a mark may be either.
  if (first.is_word()) return run_end(piece, after, is_word);
  Unit const second = unit_at(piece, after);
  // One ASCII sign and the ASCII letters that follow; every such sign is in \p{P} or \p{S}.
  if (first.is_sign() && first.code < 128 && second.is_ascii_letter())
    return run_end(piece, after, [](Unit const& u) { return u.is_ascii_letter(); });
  // One space, control character or the like, then letters and marks.
  if (!first.is_sign() && !first.is_line_end() && second.is_word()) return run_end(piece, after, is_word);
  // Signs with one optional space before them and all line ends after them.
  if (first.is_sign() || (first.code == ' ' && second.is_sign()))
    return run_end(piece, run_end(piece, after, is_sign), is_line_end);
  return first.kind == CharClass::space ? space_end(piece, at) : at;
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
  using detail::Unit;
  for (std::size_t at = 0; at < text.size();) {
    Unit const first = detail::unit_at(text, at);
    std::size_t end = at + first.length;
    if (first.kind == CharClass::number) {
      for (int digits = 1; digits < 3; ++digits)
        if (Unit const next = detail::unit_at(text, end); next.kind == CharClass::number) end += next.length;
      emit(text.substr(at, end - at));
    } else {
      bool const ideographs = first.is_ideograph();
      end = detail::run_end(text, end, [&](Unit const& u) {
        return u.kind != CharClass::number && u.is_ideograph() == ideographs;
      });
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
