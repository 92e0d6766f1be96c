/// How well a model predicts text it has not seen, in bits per byte, so that tokenizers and compressors
/// compare.
#pragma once

#include "aeth/data/validation.hpp"
#include "aeth/train/step.hpp"

namespace aeth::train {

/// Sums over validation tokens.
struct ValidationResult {
  double nats = 0.0;      ///< Σ cross entropy of the main head
  Index targets = 0;      ///< tokens predicted, ends of documents among them
  double mtp_nats = 0.0;  ///< Σ over MTP depth 1
  Index mtp_targets = 0;

  [[nodiscard]] double loss() const { return nats / static_cast<double>(max(targets, Index{1})); }
  [[nodiscard]] double mtp_loss() const { return mtp_nats / static_cast<double>(max(mtp_targets, Index{1})); }
};

/// Runs up to `batches` batches of a validation set (0 = all) from its beginning.
template <class Model>
[[nodiscard]] ValidationResult validate(Stepper<Model>& stepper, data::ValidationRows& rows,
                                        Index batches = 0) {
  ValidationResult result;
  data::Batch batch;
  rows.rewind();
  for (Index i = 0; (batches == 0 || i < batches) && rows.next(batch); ++i) {
    bool const ahead = Model::config.mtp_depth > 0 && batch.lookahead > 1;
    (void)stepper.evaluate(batch, ahead ? 1 : 0);
    Index const size = batch.rows * batch.length;
    for (Index b = 0; b < batch.rows; ++b)
      for (Index t = b * batch.length + rows.repeated(b); t < (b + 1) * batch.length; ++t) {
        result.targets += batch.targets[to_size(t)] >= 0 ? 1 : 0;
        result.nats += static_cast<double>(stepper.token_losses(0)[t]);
        if (!ahead) continue;
        result.mtp_targets += batch.targets[to_size(size + t)] >= 0 ? 1 : 0;
        result.mtp_nats += static_cast<double>(stepper.token_losses(1)[t]);
      }
  }
  return result;
}

}  // namespace aeth::train
