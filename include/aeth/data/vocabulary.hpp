/// What a byte-level BPE tokenizer is made of, as plain data: tokens, merges and added tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/split_step.hpp"

namespace aeth::data {

/// Two neighbouring tokens that become one; its rank is its place in the list, lowest first.
struct Merge {
  std::int32_t left = 0;
  std::int32_t right = 0;
  bool operator==(Merge const&) const = default;
};

/// A token that merges never make: it is found in text as a whole, and only where the caller allows it.
struct AddedToken {
  std::int32_t id = 0;
  bool special = true;       ///< control token: left out of decoded text on request
  bool normalized = false;   ///< looked for last, in normalized text
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool single_word = false;  ///< not found where a letter, mark, digit or underscore touches it
  bool operator==(AddedToken const&) const = default;
};

/// What happens to plain text before it is cut into words.
enum class Normalization : std::uint8_t {
  none,
  nfc,  ///< Unicode's form C: decoding gives that back, and not other spellings of the same characters
};

/// Spellings of DeepSeek-V3; the bars are U+FF5C, the blanks U+2581.
namespace special {
inline constexpr std::string_view bos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view eos = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view pad = "<｜▁pad▁｜>";
inline constexpr std::string_view think_begin = "<think>";
inline constexpr std::string_view think_end = "</think>";
inline constexpr std::string_view fim_hole = "<｜fim▁hole｜>";
inline constexpr std::string_view fim_begin = "<｜fim▁begin｜>";
inline constexpr std::string_view fim_end = "<｜fim▁end｜>";
inline constexpr std::string_view user = "<｜User｜>";
inline constexpr std::string_view assistant = "<｜Assistant｜>";
/// The first three ids of a vocabulary.
inline constexpr std::array<std::string_view, 3> leading{bos, eos, pad};
/// The last ids of a vocabulary, in the order of V3 (its ids 128798 to 128804).
inline constexpr std::array<std::string_view, 7> trailing{think_begin, think_end, fim_hole, fim_begin,
                                                          fim_end,     user,      assistant};
}  // namespace special

/// The parts of a tokenizer; ids count from 0 without holes.
struct Vocabulary {
  std::vector<std::string> tokens;  ///< the bytes of each id; of an added token its spelling
  std::vector<Merge> merges;        ///< by rank
  std::vector<AddedToken> added;    ///< ascending by id
  Normalization normalization = Normalization::none;
  PreTokenizer pre_tokenizer = v3_pre_tokenizer();
  bool ignore_merges = false;               ///< a word that is a token becomes it, whatever the merges make
  std::vector<std::int32_t> before, after;  ///< added tokens around a text, such as bos; on request only
  bool operator==(Vocabulary const&) const = default;
};

/// The 256 bytes in the order of the byte-level alphabet: printable Latin-1 first, then the rest. With the
/// three leading special tokens before it, newline is id 201, as in DeepSeek-V3.
[[nodiscard]] constexpr std::array<unsigned char, 256> byte_order() noexcept {
  auto const printable = [](int byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  };
  std::array<unsigned char, 256> order{};
  std::size_t at = 0;
  for (bool const wanted : {true, false})
    for (int byte = 0; byte < 256; ++byte)
      if (printable(byte) == wanted) order[at++] = static_cast<unsigned char>(byte);
  return order;
}

/// Whether UTF-8 text can hold a byte. Vocabularies of some models lack the 13 others.
[[nodiscard]] constexpr bool is_utf8_byte(int byte) noexcept {
  return byte != 0xC0 && byte != 0xC1 && byte < 0xF5;
}

namespace detail {

using IdsByBytes = std::unordered_map<std::string_view, std::int32_t>;

/// Longest spelling of an added token: each place of a text is compared with at most so much.
inline constexpr std::size_t max_added_bytes = 256;

/// Checks the added tokens; returns which ids they are.
[[nodiscard, gnu::cold]] inline std::vector<bool> check_added(Vocabulary const& v) {
  auto const size = v.tokens.size();
  std::vector<bool> is_added(size, false);
  std::int32_t last = -1;
  for (AddedToken const& token : v.added) {
    expect<DataError>(token.id >= 0 && static_cast<std::size_t>(token.id) < size, "vocabulary: added token ",
                      token.id, " is outside the ", size, " ids; ids must have no holes");
    expect<DataError>(token.id > last, "vocabulary: added token ", token.id,
                      " is listed twice or out of order; list each id once, ascending");
    std::size_t const length = v.tokens[static_cast<std::size_t>(token.id)].size();
    expect<DataError>(length <= max_added_bytes, "vocabulary: added token ", token.id, " has ", length,
                      " bytes, the limit is ", max_added_bytes, "; looking for it would be slow");
    is_added[static_cast<std::size_t>(last = token.id)] = true;
  }
  for (auto const* const ids : {&v.before, &v.after})
    for (std::int32_t const id : *ids)
      expect<DataError>(
          id >= 0 && static_cast<std::size_t>(id) < size && is_added[static_cast<std::size_t>(id)],
          "vocabulary: id ", id, " stands around every text, but is no added token");
  return is_added;
}

/// Checks the bytes of all tokens; returns the plain ones by their bytes. An added token may spell the bytes of
/// a plain one.
[[nodiscard, gnu::cold]] inline IdsByBytes check_tokens(Vocabulary const& v,
                                                        std::vector<bool> const& is_added) {
  IdsByBytes plain, added;
  plain.reserve(v.tokens.size());
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    expect<DataError>(!v.tokens[id].empty(), "vocabulary: token ", id,
                      " is empty; every id needs some bytes");
    auto const [same, fresh] =
        (is_added[id] ? added : plain).emplace(v.tokens[id], static_cast<std::int32_t>(id));
    expect<DataError>(fresh, "vocabulary: tokens ", same->second, " and ", id,
                      " have the same bytes; remove one of them");
  }
  for (int byte = 0; byte < 256; ++byte) {
    char const c = static_cast<char>(byte);
    expect<DataError>(!is_utf8_byte(byte) || plain.count(std::string_view(&c, 1)) != 0,
                      "vocabulary: no token for byte ", byte,
                      "; a byte-level vocabulary needs all, else some text could not be encoded");
  }
  return plain;
}

}  // namespace detail

/// Checks a vocabulary and returns the id that each merge makes.
///
/// errors   DataError naming token or merge: empty or repeated token, missing byte, added token out of range
///          or listed twice, merge of absent or added tokens, merge whose result is no plain token, merge
///          twice, token around a text that is no added token
/// cost     linear in the bytes of all tokens
[[nodiscard, gnu::cold]] inline std::vector<std::int32_t> check_vocabulary(Vocabulary const& v) {
  auto const size = v.tokens.size();
  expect<DataError>(size < (std::size_t{1} << 31), "vocabulary: ", size,
                    " tokens do not fit in 32-bit ids; use fewer");
  std::vector<bool> const is_added = detail::check_added(v);
  detail::IdsByBytes const plain = detail::check_tokens(v, is_added);
  std::vector<std::int32_t> made;
  made.reserve(v.merges.size());
  std::unordered_set<std::uint64_t> seen;
  seen.reserve(v.merges.size());
  for (std::size_t rank = 0; rank < v.merges.size(); ++rank) {
    auto const [left, right] = v.merges[rank];
    for (std::int32_t const id : {left, right})
      expect<DataError>(
          id >= 0 && static_cast<std::size_t>(id) < size && !is_added[static_cast<std::size_t>(id)],
          "vocabulary: merge ", rank, " uses id ", id, ", which is not a plain token");
    std::uint64_t const key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
    expect<DataError>(seen.insert(key).second, "vocabulary: merge ", rank, " of ids ", left, " and ", right,
                      " occurs before; remove it");
    std::string const joined =
        v.tokens[static_cast<std::size_t>(left)] + v.tokens[static_cast<std::size_t>(right)];
    auto const found = plain.find(joined);
    expect<DataError>(found != plain.end(), "vocabulary: merge ", rank, " of ids ", left, " and ", right,
                      " makes bytes that are no plain token; add the token or remove the merge");
    made.push_back(found->second);
  }
  return made;
}

}  // namespace aeth::data
