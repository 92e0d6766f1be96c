/// Finds added tokens in text.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/data/unicode.hpp"
#include "aeth/data/vocabulary.hpp"

namespace aeth::data::detail {

/// Whether a character touching a `single_word` token hides it: \w, apart from numbers such as ² that are neither
/// digits nor letters, which count here.
[[nodiscard]] constexpr bool is_word_code(char32_t code) noexcept {
  CharClass const c = char_class(code);
  return c == CharClass::letter || c == CharClass::mark || c == CharClass::number || code == '_' ||
         code == 0x203F || code == 0x2040 || code == 0x2054 || code == 0xFE33 || code == 0xFE34 ||
         (code >= 0xFE4D && code <= 0xFE4F) || code == 0xFF3F || code == 0x200C || code == 0x200D;
}

/// The character that ends at byte `at` > 0 of a text.
[[nodiscard]] constexpr Character character_before(std::string_view text, std::size_t at) noexcept {
  for (std::uint32_t length = 1; length <= 4 && length <= at; ++length)
    if (Character const c = decode_utf8(text, at - length); c.length == length && c.code != invalid_code)
      return c;
  return {};
}

/// An added token in a text, or what is between two of them.
struct PartOfText {
  std::string_view text;
  std::int32_t id = -1;  ///< of the token
};

/// The added tokens that are looked for in one pass over a text.
///
/// source   which of several matches counts, what lstrip, rstrip and single_word do: the `tokenizers` library
class AddedTokens {
 public:
  AddedTokens() = default;

  /// Those tokens of a vocabulary whose `normalized` is as said.
  [[gnu::cold]] AddedTokens(Vocabulary const& vocabulary, bool normalized) {
    for (AddedToken const& token : vocabulary.added) {
      if (token.normalized != normalized) continue;
      std::string const& spelling = vocabulary.tokens[static_cast<std::size_t>(token.id)];
      tokens_.emplace_back(spelling, token);
      starts_[static_cast<unsigned char>(spelling[0])] = true;
    }
    std::sort(tokens_.begin(), tokens_.end(), [](auto const& a, auto const& b) { return a.first < b.first; });
  }

  /// Id of the token with this spelling, or -1.
  [[nodiscard]] std::int32_t find(std::string_view spelling) const noexcept {
    auto const found =
        std::lower_bound(tokens_.begin(), tokens_.end(), spelling,
                         [](auto const& entry, std::string_view s) { return entry.first < s; });
    return found != tokens_.end() && found->first == spelling ? found->second.id : -1;
  }

  /// The tokens of a text and what is between them, in order. At each place the longest spelling counts.
  /// Cost: linear.
  [[nodiscard]] std::vector<PartOfText> split(std::string_view text) const {
    std::vector<PartOfText> parts;
    std::size_t done = 0;
    for (std::size_t at = tokens_.empty() ? text.size() : 0; at < text.size();) {
      if (!starts_[static_cast<unsigned char>(text[at])]) {
        ++at;
        continue;
      }
      auto const [token, length] = longest(text.substr(at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      std::size_t begin = at, end = at += length;
      if (token->single_word && touches_word(text, begin, end)) continue;
      if (token->lstrip)
        while (begin > done && is_blank(character_before(text, begin)))
          begin -= character_before(text, begin).length;
      if (token->rstrip)
        while (end < text.size() && is_blank(decode_utf8(text, end))) end += decode_utf8(text, end).length;
      if (done < begin) parts.push_back({text.substr(done, begin - done)});
      parts.push_back({text.substr(begin, end - begin), token->id});
      done = end;
    }
    if (done < text.size()) parts.push_back({text.substr(done)});
    return parts;
  }

 private:
  [[nodiscard]] static bool is_blank(Character c) noexcept { return char_class(c.code) == CharClass::space; }

  [[nodiscard]] static bool touches_word(std::string_view text, std::size_t begin, std::size_t end) noexcept {
    return (begin > 0 && is_word_code(character_before(text, begin).code)) ||
           (end < text.size() && is_word_code(decode_utf8(text, end).code));
  }

  /// Longest token at the beginning of a text: narrows the sorted spellings byte by byte.
  [[nodiscard]] std::pair<AddedToken const*, std::size_t> longest(std::string_view text) const noexcept {
    std::pair<AddedToken const*, std::size_t> best{nullptr, 0};
    auto low = tokens_.begin(), high = tokens_.end();
    for (std::size_t depth = 0; depth < text.size() && low != high; ++depth) {
      // Within [low, high) all spellings share the first `depth` bytes, and only the first can end here.
      auto const c = static_cast<unsigned char>(text[depth]);
      auto const byte = [depth](auto const& e) {
        return depth < e.first.size() ? static_cast<int>(static_cast<unsigned char>(e.first[depth])) : -1;
      };
      low = std::partition_point(low, high, [&](auto const& e) { return byte(e) < c; });
      high = std::partition_point(low, high, [&](auto const& e) { return byte(e) <= c; });
      if (low != high && low->first.size() == depth + 1) best = {&low->second, depth + 1};
    }
    return best;
  }

  std::vector<std::pair<std::string, AddedToken>> tokens_;  // sorted by spelling
  std::array<bool, 256> starts_{};
};

}  // namespace aeth::data::detail
