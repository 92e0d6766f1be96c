/// How often multi-token prediction guesses what the main model would say next: the acceptance rate of a drafter.
///
/// legend   T tokens · D width · V vocabulary
/// source   DeepSeek-V3, arXiv:2412.19437, §5.4.3
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "aeth/data/validation.hpp"
#include "aeth/model/pass.hpp"
#include "aeth/ops/linear.hpp"

namespace aeth::train {

/// Second tokens looked at and agreed on.
struct Agreement {
  Index tokens = 0;
  Index agreed = 0;

  [[nodiscard]] double share() const {
    return static_cast<double>(agreed) / static_cast<double>(max(tokens, Index{1}));
  }
};

/// Over up to `batches` batches of a validation set (0 = all), given the true text: whether the likeliest token of MTP
/// depth 1 at position i is that of the main head at i + 1.
template <class Model>
[[nodiscard]] Agreement second_token_agreement(Model const& model, data::ValidationRows& rows,
                                               Index batches = 0) {
  using T = typename Model::Exact;
  static_assert(Model::config.mtp_depth > 0,
                "aeth: second_token_agreement needs a model with mtp_depth >= 1");
  constexpr Index vocab = Model::config.vocab_size;
  Pass<Model> pass(model);
  Agreement result;
  data::Batch batch;
  std::vector<T> logits;
  rows.rewind();
  for (Index n = 0; (batches == 0 || n < batches) && rows.next(batch); ++n) {
    Index const size = batch.rows * batch.length;
    std::vector<Index> sequences, segments;
    for (Index b = 0; b <= batch.rows; ++b) sequences.push_back(b * batch.length);
    for (std::int32_t const begin : batch.segments) segments.push_back(begin);
    segments.push_back(size);
    std::vector<std::int32_t const*> ahead;
    for (Index k = 0; k < Model::config.mtp_depth; ++k) ahead.push_back(batch.targets.data() + k * size);
    pass.forward({{batch.tokens.data(), size}, &sequences, &segments, ahead.data()});
    std::vector<std::int32_t> likeliest[2];
    for (Index depth = 0; depth < 2; ++depth)
      for (Index b = 0; b < batch.rows; ++b) {
        logits.resize(to_size(batch.length * vocab));
        MatrixView<T> const view(logits.data(), batch.length, vocab);
        ops::linear(model.backend(), pass.normed(depth).row_slice(b * batch.length, batch.length),
                    model.head().packed(), view);
        for (Index t = 0; t < batch.length; ++t)
          likeliest[depth].push_back(
              static_cast<std::int32_t>(std::max_element(view.row(t), view.row(t) + vocab) - view.row(t)));
      }
    for (Index b = 0; b < batch.rows; ++b)
      for (Index t = b * batch.length + rows.repeated(b); t + 1 < (b + 1) * batch.length; ++t)
        if (batch.targets[to_size(size + t)] >= 0) {
          ++result.tokens;
          result.agreed += likeliest[1][to_size(t)] == likeliest[0][to_size(t + 1)] ? 1 : 0;
        }
  }
  return result;
}

}  // namespace aeth::train
