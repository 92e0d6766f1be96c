/// Byte-level byte-pair encoding: text to token ids and back, lossless for any bytes.
///
/// source   Sennrich et al. 2016, arXiv:1508.07909; byte level: Radford et al. 2019; the pre-tokenizer and
///          the special tokens: DeepSeek-V3, arXiv:2412.19437, §4.1
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/merge_word.hpp"
#include "aeth/data/pre_tokenizer.hpp"
#include "aeth/data/vocabulary.hpp"
#include "aeth/data/word_cache.hpp"

namespace aeth::data {

/// Ids of the tokens with a fixed meaning; -1 where the vocabulary has none.
struct SpecialTokens {
  std::int32_t bos = -1, eos = -1, pad = -1;
  std::int32_t fim_begin = -1, fim_hole = -1, fim_end = -1;
  bool operator==(SpecialTokens const&) const = default;
};

struct EncodeOptions {
  /// Whether the spelling of an added token in the text becomes that token. Off by default: text from outside
  /// must not be able to end a document or open a turn.
  bool allow_special = false;
};

struct DecodeOptions {
  bool skip_special = false;  ///< leave special tokens out instead of spelling them
};

/// An immutable tokenizer; safe to share between threads.
class Tokenizer {
 public:
  /// A word longer than this is cut into parts of this length before merging, at character boundaries, so
  /// that memory stays bounded (32 bytes per byte of the part). Bytes.
  static constexpr std::size_t max_word_bytes = std::size_t{1} << 20;

  /// Errors: DataError as check_vocabulary().
  explicit Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
    table_.made = check_vocabulary(vocabulary_);
    for (std::size_t rank = 0; rank < vocabulary_.merges.size(); ++rank) {
      auto const [left, right] = vocabulary_.merges[rank];
      table_.ranks.insert(detail::pair_key(left, right), static_cast<std::uint32_t>(rank));
    }
    std::vector<bool> is_added(vocabulary_.tokens.size(), false);
    is_special_.assign(vocabulary_.tokens.size(), false);
    for (AddedToken const& token : vocabulary_.added) {
      auto const id = static_cast<std::size_t>(token.id);
      is_added[id] = true;
      is_special_[id] = token.special;
      added_.emplace_back(vocabulary_.tokens[id], token.id);
      starts_added_[static_cast<unsigned char>(vocabulary_.tokens[id][0])] = true;
    }
    std::sort(added_.begin(), added_.end());
    for (std::size_t id = 0; id < is_added.size(); ++id)
      if (vocabulary_.tokens[id].size() == 1 && !is_added[id])
        byte_ids_[static_cast<unsigned char>(vocabulary_.tokens[id][0])] = static_cast<std::int32_t>(id);
    special_ = {find_added(special::bos),       find_added(special::eos),      find_added(special::pad),
                find_added(special::fim_begin), find_added(special::fim_hole), find_added(special::fim_end)};
  }

  /// Count of ids; a model's vocab_size must be at least this.
  [[nodiscard]] std::int32_t size() const noexcept {
    return static_cast<std::int32_t>(vocabulary_.tokens.size());
  }
  [[nodiscard]] SpecialTokens const& special_tokens() const noexcept { return special_; }
  [[nodiscard]] Vocabulary const& vocabulary() const noexcept { return vocabulary_; }

  /// The bytes of a token; of an added token its spelling. Errors: DataError for an id outside [0, size()).
  [[nodiscard]] std::string_view token_bytes(std::int32_t id) const {
    expect<DataError>(id >= 0 && id < size(), "tokenizer: id ", id, " is outside the ", size(),
                      " ids of the vocabulary; were the tokens made by another tokenizer?");
    return vocabulary_.tokens[static_cast<std::size_t>(id)];
  }

  /// Id of the added token with this spelling, or -1.
  [[nodiscard]] std::int32_t find_added(std::string_view spelling) const noexcept {
    auto const found =
        std::lower_bound(added_.begin(), added_.end(), spelling,
                         [](auto const& entry, std::string_view s) { return entry.first < s; });
    return found != added_.end() && found->first == spelling ? found->second : -1;
  }

  /// The ids of a text. Adds no bos or eos. Cost: linear, apart from a logarithm in the length of a word.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) const {
    WordCache cache(text.size() / 16 < 4096 ? text.size() / 16 : 4096);
    std::vector<std::int32_t> ids;
    encode(text, ids, cache, options);
    return ids;
  }

  /// Appends the ids of a text; the cache carries words from one text to the next.
  void encode(std::string_view text, std::vector<std::int32_t>& ids, WordCache& cache,
              EncodeOptions options = {}) const {
    std::size_t plain = 0;
    for (std::size_t at = 0; options.allow_special && at < text.size();) {
      auto const [id, length] = match_added(text.substr(at));
      if (id < 0) {
        ++at;
        continue;
      }
      encode_plain(text.substr(plain, at - plain), ids, cache);
      ids.push_back(id);
      plain = at += length;
    }
    encode_plain(text.substr(plain), ids, cache);
  }

  /// The bytes of a sequence of ids. Errors: DataError as token_bytes().
  [[nodiscard]] std::string decode(std::span<std::int32_t const> ids, DecodeOptions options = {}) const {
    std::string out;
    for (std::int32_t const id : ids) {
      std::string_view const bytes = token_bytes(id);
      if (!options.skip_special || !is_special(id)) out.append(bytes);
    }
    return out;
  }

  /// Whether an id in [0, size()) is a special token.
  [[nodiscard]] bool is_special(std::int32_t id) const { return is_special_[static_cast<std::size_t>(id)]; }

  bool operator==(Tokenizer const& other) const { return vocabulary_ == other.vocabulary_; }

 private:
  /// Longest added token at the beginning of a text: narrows the sorted spellings byte by byte.
  [[nodiscard]] std::pair<std::int32_t, std::size_t> match_added(std::string_view text) const noexcept {
    std::pair<std::int32_t, std::size_t> best{-1, 0};
    if (!starts_added_[static_cast<unsigned char>(text[0])]) return best;
    auto low = added_.begin(), high = added_.end();
    for (std::size_t depth = 0; depth < text.size() && low != high; ++depth) {
      // Within [low, high) all spellings share the first `depth` bytes, and only the first can end here.
      auto const c = static_cast<unsigned char>(text[depth]);
      auto const byte = [depth](auto const& e) {
        return depth < e.first.size() ? static_cast<int>(static_cast<unsigned char>(e.first[depth])) : -1;
      };
      low = std::partition_point(low, high, [&](auto const& e) { return byte(e) < c; });
      high = std::partition_point(low, high, [&](auto const& e) { return byte(e) <= c; });
      if (low != high && low->first.size() == depth + 1) best = {low->second, depth + 1};
    }
    return best;
  }

  void encode_plain(std::string_view text, std::vector<std::int32_t>& ids, WordCache& cache) const {
    std::vector<std::uint32_t> ranks;
    pre_tokenize(text, [&](std::string_view word) {
      if (auto const known = cache.find(word); !known.empty()) {
        ids.insert(ids.end(), known.begin(), known.end());
        return;
      }
      std::size_t const begin = ids.size();
      for (std::string_view rest = word; !rest.empty();) {
        std::size_t length = (std::min)(rest.size(), max_word_bytes);
        for (int back = 0; back < 3 && length < rest.size() && (rest[length] & 0xC0) == 0x80; ++back)
          --length;
        merge_word(rest.substr(0, length), ids, ranks);
        rest.remove_prefix(length);
      }
      cache.insert(word, std::span(ids).subspan(begin));
    });
  }

  void merge_word(std::string_view word, std::vector<std::int32_t>& ids,
                  std::vector<std::uint32_t>& ranks) const {
    constexpr std::size_t short_word = 40;  // bytes; where the heap begins to win
    std::size_t const begin = ids.size();
    for (char const c : word) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    auto const bytes = std::span(ids).subspan(begin);
    if (word.size() <= short_word && ranks.size() < word.size()) ranks.resize(short_word);
    std::size_t const kept = word.size() <= short_word ? detail::merge_short_word(table_, bytes, ranks)
                                                       : detail::merge_long_word(table_, bytes);
    ids.resize(begin + kept);
  }

  Vocabulary vocabulary_;
  detail::MergeTable table_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::array<bool, 256> starts_added_{};
  std::vector<std::pair<std::string, std::int32_t>> added_;  // sorted by spelling
  std::vector<bool> is_special_;                             // by id
  SpecialTokens special_;
};

}  // namespace aeth::data
