/// One epoch as rows: the documents in some order form one stream of tokens, and row r is its window
/// [r·T, (r + 1)·T). A long document goes on in the next row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/random.hpp"
#include "aeth/data/batch.hpp"
#include "aeth/data/packing.hpp"

namespace aeth::data {

struct RowOptions {
  Index length = 256;  ///< T, tokens per row
  int lookahead = 1;   ///< K = 1 + depth of multi-token prediction
  /// Whether attention stays inside a document: one segment per document and row instead of one per row.
  /// DeepSeek-V3 trains without (§4.1). Targets never cross documents either way.
  bool isolate = false;
  /// Tokens that each row repeats from the end of the one before, below length. Validation uses it to give
  /// every token a context of at least so many tokens.
  Index overlap = 0;
};

/// Fisher-Yates: `order` becomes a uniform permutation of [0, n) drawn from `random`.
inline void permute(Index n, Random& random, std::vector<Index>& order) {
  order.resize(to_size(n));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
}

/// Cuts rows from a corpus, which must outlive it.
class RowCutter {
 public:
  /// Errors: UsageError for options below 1, or a lookahead beyond the row; DataError as check_documents().
  RowCutter(TokenCorpus const& corpus, RowOptions const& options) : corpus_(&corpus), options_(options) {
    expect<UsageError>(options.length >= 1 && options.lookahead >= 1 && options.lookahead <= options.length,
                       "rows: length is ", options.length, " and lookahead is ", options.lookahead,
                       "; length must be at least 1, lookahead from 1 to length");
    expect<UsageError>(options.overlap >= 0 && options.overlap < options.length, "rows: overlap is ",
                       options.overlap, "; it must be from 0 to below the length, ", options.length);
    check_documents(corpus);
    in_order();
  }
  RowCutter(TokenCorpus&&, RowOptions const&) = delete;

  [[nodiscard]] RowOptions const& options() const noexcept { return options_; }

  /// Rows of T tokens without the remainder of the stream; the same for every order.
  [[nodiscard]] Index full_rows() const noexcept {
    return corpus_->size() < options_.length ? 0 : 1 + (corpus_->size() - options_.length) / stride();
  }
  /// Rows with the remainder, which is filled up.
  [[nodiscard]] Index all_rows() const noexcept {
    return 1 + ceil_div((max)(corpus_->size() - options_.length, Index{0}), stride());
  }

  /// Documents in the order of the corpus, rows in the order of the stream.
  void in_order() {
    documents_.resize(to_size(corpus_->documents()));
    std::iota(documents_.begin(), documents_.end(), Index{0});
    rows_.clear();
    lay_out();
  }

  /// Documents in the random order of this epoch. Then, with `shuffle_rows`, full rows too: else the rows of
  /// a long document come together in one batch. A pure function of (seed, epoch).
  void shuffle(std::uint64_t seed, std::uint64_t epoch, bool shuffle_rows) {
    Random random(seed, RandomUse::shuffle, epoch);
    permute(corpus_->documents(), random, documents_);
    permute(shuffle_rows ? full_rows() : 0, random, rows_);
    lay_out();
  }

  /// Fills row `slot` of a batch, sized before, with row `row` of the epoch and appends its segments; slots
  /// are filled in ascending order. Past the end of the stream come `filler` tokens without targets.
  void fill(Index row, Index slot, std::int32_t filler, Batch& batch) const {
    Index const length = options_.length, all = batch.rows * length, out = slot * length;
    Index at = (rows_.empty() ? row : rows_[to_size(row)]) * stride();
    Index const end = (min)(at + length, corpus_->size());
    batch.segments.push_back(static_cast<std::int32_t>(out));
    Index done = 0;
    auto which = std::upper_bound(starts_.begin(), starts_.end(), at) - starts_.begin() - 1;
    for (; at < end; ++which) {
      auto const document = corpus_->document(documents_[static_cast<std::size_t>(which)]);
      Index const offset = at - starts_[static_cast<std::size_t>(which)];
      Index const size = static_cast<Index>(document.size()), count = (min)(size - offset, end - at);
      if (options_.isolate && done > 0 && count > 0)
        batch.segments.push_back(static_cast<std::int32_t>(out + done));
      for (Index i = 0; i < count; ++i) {
        batch.tokens[to_size(out + done + i)] = document[to_size(offset + i)];
        for (Index k = 0; k < options_.lookahead; ++k) {
          Index const next = offset + i + k + 1;
          batch.targets[to_size(k * all + out + done + i)] =
              next < size ? document[to_size(next)] : no_target;
        }
      }
      done += count;
      at += count;
    }
    if (options_.isolate && done > 0 && done < length)
      batch.segments.push_back(static_cast<std::int32_t>(out + done));
    for (; done < length; ++done) {
      batch.tokens[to_size(out + done)] = filler;
      for (Index k = 0; k < options_.lookahead; ++k) batch.targets[to_size(k * all + out + done)] = no_target;
    }
  }

 private:
  [[nodiscard]] Index stride() const noexcept { return options_.length - options_.overlap; }

  /// Where each document begins in the stream.
  void lay_out() {
    starts_.resize(documents_.size() + 1);
    starts_[0] = 0;
    for (std::size_t i = 0; i < documents_.size(); ++i)
      starts_[i + 1] = starts_[i] + static_cast<Index>(corpus_->document(documents_[i]).size());
  }

  TokenCorpus const* corpus_;
  RowOptions options_;
  std::vector<Index> documents_;  // order of the documents
  std::vector<Index> starts_;     // [D + 1]: their begins in the stream
  std::vector<Index> rows_;       // order of the rows; empty: as in the stream
};

}  // namespace aeth::data
