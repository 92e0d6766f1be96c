/// Byte-level byte-pair encoding: text to token ids and back, lossless for any bytes.
///
/// source   Sennrich et al. 2016, arXiv:1508.07909; byte level: Radford et al. 2019; the pre-tokenizer and
///          the special tokens: DeepSeek-V3, arXiv:2412.19437, §4.1
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/added_tokens.hpp"
#include "aeth/data/detail/merge_word.hpp"
#include "aeth/data/nfc.hpp"
#include "aeth/data/pre_tokenizer.hpp"
#include "aeth/data/splitter.hpp"
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
  /// Whether the tokens that the vocabulary puts around a text (Vocabulary::before, after) are put there.
  bool add_around = false;
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

  /// `make_splitter` is needed for any pre_tokenizer but DeepSeek-V3's: see aeth/data/pcre2_split.hpp.
  ///
  /// errors   DataError as check_vocabulary() and as make_splitter; or if that is needed and absent
  [[gnu::cold]] explicit Tokenizer(Vocabulary vocabulary, MakeSplitter make_splitter = nullptr)
      : vocabulary_(std::move(vocabulary)) {
    table_.made = check_vocabulary(vocabulary_);
    for (std::size_t rank = 0; rank < vocabulary_.merges.size(); ++rank) {
      auto const [left, right] = vocabulary_.merges[rank];
      table_.ranks.insert(detail::pair_key(left, right), static_cast<std::uint32_t>(rank));
    }
    if (vocabulary_.pre_tokenizer != v3_pre_tokenizer()) {
      expect<DataError>(make_splitter != nullptr,
                        "vocabulary: its pre_tokenizer is not DeepSeek-V3's and needs PCRE2; include "
                        "aeth/data/pcre2_split.hpp, link aeth::pcre2 and pass aeth::data::pcre2_splitter");
      splitter_ = make_splitter(vocabulary_.pre_tokenizer);
    }
    added_ = detail::AddedTokens(vocabulary_, false);
    added_last_ = detail::AddedTokens(vocabulary_, true);
    index_plain_tokens();
    special_ = {find_added(special::bos),       find_added(special::eos),      find_added(special::pad),
                find_added(special::fim_begin), find_added(special::fim_hole), find_added(special::fim_end)};
    if (special_.bos < 0 && vocabulary_.before.size() == 1) special_.bos = vocabulary_.before[0];
    if (special_.eos < 0 && vocabulary_.after.size() == 1) special_.eos = vocabulary_.after[0];
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
    std::int32_t const id = added_.find(spelling);
    return id >= 0 ? id : added_last_.find(spelling);
  }

  /// The ids of a text. Adds no bos or eos unless asked to.
  ///
  /// errors   DataError for a byte that is not UTF-8 and for which the vocabulary has no token: DeepSeek-V3's has all
  /// cost     linear, apart from a logarithm in the length of a word
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) const {
    WordCache cache(text.size() / 16 < 4096 ? text.size() / 16 : 4096);
    std::vector<std::int32_t> ids;
    encode(text, ids, cache, options);
    return ids;
  }

  /// Appends the ids of a text; the cache carries words from one text to the next. Errors: as encode() above.
  void encode(std::string_view text, std::vector<std::int32_t>& ids, WordCache& cache,
              EncodeOptions options = {}) const {
    if (options.add_around) ids.insert(ids.end(), vocabulary_.before.begin(), vocabulary_.before.end());
    std::string buffer;
    auto const normal = [&](std::string_view part) {
      return vocabulary_.normalization == Normalization::nfc ? to_nfc(part, buffer) : part;
    };
    auto const take = [&](detail::PartOfText const& part) {
      if (part.id >= 0)
        ids.push_back(part.id);
      else
        encode_plain(part.text, ids, cache);
    };
    if (!options.allow_special)
      take({normal(text)});
    else
      for (detail::PartOfText const& part : added_.split(text))
        if (part.id >= 0)
          take(part);
        else
          for (detail::PartOfText const& inner : added_last_.split(normal(part.text))) take(inner);
    if (options.add_around) ids.insert(ids.end(), vocabulary_.after.begin(), vocabulary_.after.end());
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
  /// Fills what needs the plain tokens by their bytes.
  [[gnu::cold]] void index_plain_tokens() {
    std::vector<bool> is_added(vocabulary_.tokens.size(), false);
    is_special_.assign(vocabulary_.tokens.size(), false);
    for (AddedToken const& token : vocabulary_.added) {
      is_added[static_cast<std::size_t>(token.id)] = true;
      is_special_[static_cast<std::size_t>(token.id)] = token.special;
    }
    byte_ids_.fill(-1);
    for (std::size_t i = 0; i < is_added.size(); ++i) {
      auto const id = static_cast<std::int32_t>(i);
      if (is_added[i]) continue;
      if (bytes_of(id).size() == 1) byte_ids_[static_cast<unsigned char>(bytes_of(id)[0])] = id;
      if (vocabulary_.ignore_merges) by_bytes_.push_back(id);
    }
    std::sort(by_bytes_.begin(), by_bytes_.end(),
              [this](std::int32_t a, std::int32_t b) { return bytes_of(a) < bytes_of(b); });
  }

  [[nodiscard]] std::string_view bytes_of(std::int32_t id) const noexcept {
    return vocabulary_.tokens[static_cast<std::size_t>(id)];
  }

  void encode_plain(std::string_view text, std::vector<std::int32_t>& ids, WordCache& cache) const {
    std::vector<std::uint32_t> ranks;
    auto take = [&](std::string_view word) {
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
    };
    if (splitter_)
      splitter_->split(text, WordSink(take));
    else
      pre_tokenize(text, take);
  }

  void merge_word(std::string_view word, std::vector<std::int32_t>& ids,
                  std::vector<std::uint32_t>& ranks) const {
    constexpr std::size_t short_word = 40;  // bytes; where the heap begins to win
    if (!by_bytes_.empty()) {
      auto const found =
          std::lower_bound(by_bytes_.begin(), by_bytes_.end(), word,
                           [this](std::int32_t id, std::string_view w) { return bytes_of(id) < w; });
      if (found != by_bytes_.end() && bytes_of(*found) == word) return ids.push_back(*found);
    }
    std::size_t const begin = ids.size();
    for (char const c : word) {
      auto const byte = static_cast<unsigned char>(c);
      expect<DataError>(byte_ids_[byte] >= 0, "tokenizer: the vocabulary has no token for byte ", byte,
                        ", which is not UTF-8; replace it in the text first");
      ids.push_back(byte_ids_[byte]);
    }
    auto const bytes = std::span(ids).subspan(begin);
    if (word.size() <= short_word && ranks.size() < word.size()) ranks.resize(short_word);
    std::size_t const kept = word.size() <= short_word ? detail::merge_short_word(table_, bytes, ranks)
                                                       : detail::merge_long_word(table_, bytes);
    ids.resize(begin + kept);
  }

  Vocabulary vocabulary_;
  detail::MergeTable table_;
  std::array<std::int32_t, 256> byte_ids_{};
  detail::AddedTokens added_, added_last_;
  std::vector<std::int32_t> by_bytes_;        // plain tokens sorted by their bytes; only for ignore_merges
  std::vector<bool> is_special_;              // by id
  std::shared_ptr<Splitter const> splitter_;  // none: DeepSeek-V3's, by pre_tokenize()
  SpecialTokens special_;
};

}  // namespace aeth::data
