/// A validation set as batches: fixed order, every token once, always the same shape.
#pragma once

#include <cstdint>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/rows.hpp"

namespace aeth::data {

/// Goes once through a corpus, which must outlive it. The last batch is filled up with tokens that have no
/// targets; make the corpus without fill-in-the-middle.
class ValidationRows {
 public:
  /// `filler` is any valid id, such as pad or eos. Errors: DataError for an empty corpus; UsageError as
  /// RowCutter.
  ValidationRows(TokenCorpus const& corpus, RowOptions const& options, Index batch_rows, std::int32_t filler)
      : cutter_(corpus, options), batch_rows_(batch_rows), filler_(filler) {
    expect<UsageError>(batch_rows >= 1, "validation: batch rows are ", batch_rows, "; at least 1 is needed");
    expect<DataError>(corpus.size() > 0, "validation: the corpus has no tokens; split off some documents");
  }
  ValidationRows(TokenCorpus&&, RowOptions const&, Index, std::int32_t) = delete;

  [[nodiscard]] Index batches() const noexcept { return ceil_div(cutter_.all_rows(), batch_rows_); }

  /// Fills the next batch; false, and the batch untouched, after the last one.
  bool next(Batch& batch) {
    if (row_ >= cutter_.all_rows()) return false;
    batch.resize(batch_rows_, cutter_.options().length, cutter_.options().lookahead);
    for (Index slot = 0; slot < batch_rows_; ++slot) cutter_.fill(row_++, slot, filler_, batch);
    return true;
  }

  /// Tokens at the beginning of each row of the last batch that an earlier row has counted already.
  [[nodiscard]] Index repeated(Index slot) const noexcept {
    return row_ - batch_rows_ + slot > 0 ? cutter_.options().overlap : 0;
  }

  /// Starts again with the first batch.
  void rewind() noexcept { row_ = 0; }

 private:
  RowCutter cutter_;
  Index batch_rows_;
  std::int32_t filler_;
  Index row_ = 0;
};

}  // namespace aeth::data
