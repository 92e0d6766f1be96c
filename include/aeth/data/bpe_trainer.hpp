/// Learns a byte-level BPE vocabulary: merges the most frequent pair of neighbouring tokens, again and again.
///
/// source   Sennrich et al. 2016, arXiv:1508.07909, algorithm 1, with pair counts kept up to date per merge
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/pair_table.hpp"
#include "aeth/data/pre_tokenizer.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/vocabulary.hpp"

namespace aeth::data {

struct BpeOptions {
  std::int32_t vocab_size = 4096;     ///< ids wanted, special tokens included
  std::int64_t min_frequency = 2;     ///< occurrences a pair needs to be merged
  std::size_t max_token_bytes = 128;  ///< no token gets longer; long runs of blanks or dashes would
};

/// What training did.
struct BpeReport {
  std::int64_t bytes = 0;           ///< text seen
  std::int64_t words = 0;           ///< words seen
  std::int64_t distinct_words = 0;  ///< of these, different ones
  std::int32_t vocab_size = 0;      ///< ids made; below the wish if the text has no more frequent pairs
  bool stopped_early = false;       ///< vocab_size is below the wish
};

/// Counts the words of texts, then trains. The result depends on the counts only: not on the order of texts,
/// and ties go to the pair with the smaller ids.
class BpeTrainer {
 public:
  /// Longer words are cut into parts of this many bytes; merging inside a word costs its length each time.
  static constexpr std::size_t max_word_bytes = 256;

  /// Counts the words of one text; the text is not needed afterwards.
  void add(std::string_view text) {
    bytes_ += static_cast<std::int64_t>(text.size());
    pre_tokenize(text, [&](std::string_view word) {
      for (; word.size() > max_word_bytes; word.remove_prefix(max_word_bytes))
        count(word.substr(0, max_word_bytes));
      count(word);
    });
  }

  /// The tokenizer with bos, eos and pad as ids 0 to 2, the 256 bytes, the merges, and the trailing special
  /// tokens at the end.
  ///
  /// errors   UsageError if vocab_size has no room for these; DataError if no text was added
  /// cost     bytes of the distinct words, plus the words that each merge touches
  [[nodiscard]] Tokenizer train(BpeOptions const& options, BpeReport* report = nullptr) {
    constexpr std::size_t trailing = special::trailing.size(),
                          fixed = special::leading.size() + 256 + trailing;
    expect<UsageError>(options.vocab_size >= static_cast<std::int32_t>(fixed), "bpe: vocab_size is ",
                       options.vocab_size, ", but special tokens and bytes alone are ", fixed,
                       "; ask for at least that many");
    expect<UsageError>(options.min_frequency >= 1 && options.max_token_bytes >= 1,
                       "bpe: min_frequency and max_token_bytes must be at least 1");
    expect<DataError>(!counts_.empty(),
                      "bpe: no text to train on; add at least one document that is not empty");
    begin_vocabulary();
    sort_words();
    count_pairs();
    while (vocabulary_.tokens.size() + trailing < static_cast<std::size_t>(options.vocab_size))
      if (!merge_best(options)) break;
    for (std::string_view const token : special::trailing) add_special(token);
    if (report != nullptr) {
      auto const size = static_cast<std::int32_t>(vocabulary_.tokens.size());
      *report = {bytes_, total_, static_cast<std::int64_t>(words_.size()), size, size < options.vocab_size};
    }
    return Tokenizer(std::exchange(vocabulary_, {}));
  }

 private:
  using Ids = std::vector<std::int32_t>;
  struct Word {
    Ids ids;
    std::int64_t count = 0;
  };
  struct Pair {
    std::int32_t left = 0, right = 0;
    std::int64_t count = 0;
    std::vector<std::uint32_t> words;  // where it occurs or did so, each once
  };
  struct Candidate {
    std::int64_t count;
    std::int32_t left, right;
    std::uint32_t pair;
    // The greatest of the queue: highest count, then smallest ids.
    bool operator<(Candidate const& o) const noexcept {
      return count != o.count ? count < o.count : left != o.left ? left > o.left : right > o.right;
    }
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept { return io::mix64(io::hash64(s)); }
  };

  void count(std::string_view word) {
    ++total_;
    if (auto const found = counts_.find(word); found != counts_.end())
      ++found->second;
    else
      counts_.emplace(word, 1);
  }

  void add_special(std::string_view token) {
    vocabulary_.added.push_back({static_cast<std::int32_t>(vocabulary_.tokens.size()), true});
    vocabulary_.tokens.emplace_back(token);
  }

  [[gnu::cold]] void begin_vocabulary() {
    vocabulary_ = {};
    known_.clear();
    for (std::string_view const token : special::leading) add_special(token);
    vocabulary_.before = {0};  // documents begin with bos wherever a model sees them
    for (unsigned char const byte : byte_order()) vocabulary_.tokens.emplace_back(1, static_cast<char>(byte));
  }

  /// The counted words as byte ids, in the order of their bytes.
  [[gnu::cold]] void sort_words() {
    std::array<std::int32_t, 256> byte_ids{};
    for (std::int32_t i = 0; unsigned char const byte : byte_order())
      byte_ids[byte] = static_cast<std::int32_t>(special::leading.size()) + i++;
    std::vector<std::pair<std::string_view, std::int64_t>> sorted(counts_.begin(), counts_.end());
    std::sort(sorted.begin(), sorted.end());
    words_.clear();
    for (auto const& [bytes, count] : sorted) {
      Word& word = words_.emplace_back();
      word.count = count;
      for (char const c : bytes) word.ids.push_back(byte_ids[static_cast<unsigned char>(c)]);
    }
  }

  /// Adds sign times the word's count to each of its pairs. The word is noted at pairs with the id `fresh`,
  /// or at all pairs if that is negative; pairs never seen before go to the queue.
  void add_pairs(std::uint32_t word_index, std::int64_t sign, std::int32_t fresh) {
    Word const& word = words_[word_index];
    for (std::size_t i = 0; i + 1 < word.ids.size(); ++i) {
      std::int32_t const left = word.ids[i], right = word.ids[i + 1];
      auto const end = static_cast<std::uint32_t>(pairs_.size());
      std::uint32_t const at = table_.insert(detail::pair_key(left, right), end);
      if (at == end) {
        pairs_.push_back({left, right, 0, {}});
        unqueued_.push_back(at);
      }
      Pair& pair = pairs_[at];
      pair.count += sign * word.count;
      bool const note = sign > 0 && (fresh < 0 || left == fresh || right == fresh);
      if (note && (pair.words.empty() || pair.words.back() != word_index)) pair.words.push_back(word_index);
    }
  }

  void count_pairs() {
    table_ = {};
    pairs_.clear();
    queue_ = {};
    for (std::uint32_t word = 0; word < words_.size(); ++word) add_pairs(word, 1, -1);
    queue_new_pairs();
  }

  void queue_new_pairs() {
    for (std::uint32_t const at : unqueued_)
      queue_.push({pairs_[at].count, pairs_[at].left, pairs_[at].right, at});
    unqueued_.clear();
  }

  /// Merges the best pair everywhere; false if none is frequent enough.
  bool merge_best(BpeOptions const& options) {
    while (!queue_.empty()) {
      Candidate const best = queue_.top();
      queue_.pop();
      Pair& pair = pairs_[best.pair];
      if (best.count != pair.count) {
        // Counts of queued pairs only fall, for a merge makes new pairs with a new id; put it back in place.
        if (pair.count >= options.min_frequency) queue_.push({pair.count, best.left, best.right, best.pair});
        continue;
      }
      if (best.count < options.min_frequency) return false;
      std::string bytes = vocabulary_.tokens[static_cast<std::size_t>(best.left)] +
                          vocabulary_.tokens[static_cast<std::size_t>(best.right)];
      // One merge per token: a second way to the same bytes would make known pairs more frequent again.
      if (bytes.size() > options.max_token_bytes || !known_.insert(bytes).second) continue;
      auto const made = static_cast<std::int32_t>(vocabulary_.tokens.size());
      vocabulary_.tokens.push_back(std::move(bytes));
      vocabulary_.merges.push_back({best.left, best.right});
      for (std::uint32_t const word : std::exchange(pair.words, {}))
        merge_in(word, best.left, best.right, made);
      queue_new_pairs();
      return true;
    }
    return false;
  }

  void merge_in(std::uint32_t word, std::int32_t left, std::int32_t right, std::int32_t made) {
    Ids& ids = words_[word].ids;
    bool found = false;
    for (std::size_t i = 0; i + 1 < ids.size() && !found; ++i) found = ids[i] == left && ids[i + 1] == right;
    if (!found) return;
    add_pairs(word, -1, made);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < ids.size(); ++i, ++kept) {
      bool const joined = ids[i] == left && i + 1 < ids.size() && ids[i + 1] == right;
      ids[kept] = joined ? made : ids[i];
      i += joined;
    }
    ids.resize(kept);
    add_pairs(word, 1, made);
  }

  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> counts_;
  std::int64_t bytes_ = 0, total_ = 0;
  Vocabulary vocabulary_;
  std::unordered_set<std::string> known_;  // bytes of all merged tokens
  std::vector<Word> words_;
  std::vector<Pair> pairs_;
  detail::PairTable table_;
  std::priority_queue<Candidate> queue_;
  std::vector<std::uint32_t> unqueued_;  // pairs not in the queue yet
};

}  // namespace aeth::data
