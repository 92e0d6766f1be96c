/// One training step's forward and backward: from a batch to gradients, losses and expert loads.
///
/// legend   B rows of T tokens · V vocabulary · E experts · L layers with experts
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/batch.hpp"
#include "aeth/loss/language_model.hpp"
#include "aeth/model/model.hpp"
#include "aeth/model/pass.hpp"

namespace aeth::train {

/// Weights of the terms beside the main cross entropy. Source: DeepSeek-V3, arXiv:2412.19437, §2.2 and §4.2.
struct LossOptions {
  double mtp_weight = 0.3;       ///< lambda; each of the depths counts lambda / depths
  double balance_weight = 1e-4;  ///< alpha of the sequence-wise balance loss
};

/// Mean losses of a batch, in nats per token; balance is the sum over layers, averaged over rows.
struct StepLoss {
  double main = 0.0;
  double mtp = 0.0;  ///< mean over depths, unweighted
  double balance = 0.0;
  Index targets = 0;  ///< tokens that `main` is a mean of
};

/// Runs batches through a model. Splitting a batch into micro-batches changes memory, never a bit of an FP32
/// result: each gradient element is one chain over the batch's tokens in order.
template <class Model>
class Stepper {
  static constexpr ModelConfig C = Model::config;
  using T = typename Model::Exact;

 public:
  /// micro_rows: rows that go through at once; 0 = the whole batch.
  explicit Stepper(Model& model, Index micro_rows = 0)
      : model_(model), pass_(model), micro_rows_(micro_rows) {
    load_.resize(to_size(Model::moe_layers() * C.moe.experts));
    losses_.resize(to_size(C.mtp_depth + 1));
  }

  /// Overwrites the model's gradients with those of the batch's mean loss, and `load()`.
  ///
  /// errors   DataError if no token of the batch has a target, or a token is outside the vocabulary
  StepLoss gradients(data::Batch const& batch, LossOptions const& options) {
    model_.enable_gradients();
    VectorView<T> const all = model_.gradients();
    constexpr Index part = Index{1} << 18;
    model_.backend().parallel(ceil_div(all.size, part), [&](Index i, int) {
      for (T& g : all.slice(i * part, min(part, all.size - i * part))) g = T(0);
    });
    return run(batch, options, true);
  }

  /// Losses only; with `depths` = 0 the MTP modules are left out.
  StepLoss evaluate(data::Batch const& batch, Index depths = C.mtp_depth) {
    return run(batch, {.mtp_weight = depths > 0 ? 1.0 : 0.0, .balance_weight = 0.0}, false);
  }

  /// Cross entropy of every token of the last batch at a depth, in nats, 0 where there was no target.
  /// Empty for a depth that the batch left out.
  [[nodiscard]] VectorView<T const> token_losses(Index depth = 0) const {
    return {losses_[to_size(depth)].data(), static_cast<Index>(losses_[to_size(depth)].size())};
  }

  /// Tokens per expert of the last batch, [layers with experts, E]; MTP modules last.
  [[nodiscard]] MatrixView<std::int64_t const> load() const {
    return {load_.data(), Model::moe_layers(), C.moe.experts};
  }

  /// The largest size of a query's largest attention logit in a layer, scale included, of the rows that went through at
  /// once in the last batch. Cost: reads tokens · heads numbers.
  [[nodiscard]] double largest_logit(Index layer) const {
    double largest = 0.0;
    auto const logits = pass_.largest_logits(layer);
    for (T const logit : logits) largest = max(largest, std::fabs(static_cast<double>(logit)));
    return largest;
  }

  /// What the activations of batches were taken from.
  [[nodiscard]] Arena const& activations() const { return pass_.arena(); }

 private:
  StepLoss run(data::Batch const& batch, LossOptions const& options, bool backward) {
    Index const depths = options.mtp_weight > 0.0 ? min<Index>(C.mtp_depth, batch.lookahead - 1) : 0;
    Index const size = batch.rows * batch.length;
    for (auto& losses : losses_) losses.clear();  // depths left out keep their memory, for the next batch
    std::vector<Index>& counts = counts_;
    counts.assign(to_size(depths + 1), 0);
    for (Index k = 0; k <= depths; ++k) {
      losses_[to_size(k)].resize(to_size(size));
      for (Index i = 0; i < size; ++i)
        counts[to_size(k)] += batch.targets[to_size(k * size + i)] >= 0 ? 1 : 0;
    }
    expect<DataError>(counts[0] > 0, "training step: none of the batch's ", size,
                      " tokens has a target; documents must have at least two tokens");
    for (auto& n : load_) n = 0;
    StepLoss total{.targets = counts[0]};
    Index const micro = micro_rows_ > 0 ? micro_rows_ : batch.rows;
    for (Index row = 0; row < batch.rows; row += micro)
      micro_batch(batch, row, min(micro, batch.rows - row), depths, options, backward, total.balance);
    for (Index k = 0; k <= depths; ++k) {
      double sum = 0.0;
      for (T const loss : losses_[to_size(k)]) sum += static_cast<double>(loss);
      double const mean = sum / static_cast<double>(max(counts[to_size(k)], Index{1}));
      if (k == 0)
        total.main = mean;
      else
        total.mtp += mean / static_cast<double>(depths);
    }
    return total;
  }

  /// Adds this part's share of the mean balance loss.
  void micro_batch(data::Batch const& batch, Index row, Index rows, Index depths, LossOptions const& options,
                   bool backward, double& balance) {
    auto& backend = model_.backend();
    Index const size = batch.rows * batch.length, first = row * batch.length, tokens = rows * batch.length;
    sequences_.clear();
    for (Index b = 0; b <= rows; ++b) sequences_.push_back(b * batch.length);
    segments_.clear();
    segments_.reserve(to_size(tokens + 1));  // however many documents a later batch has
    for (std::int32_t const begin : batch.segments)
      if (begin >= first && begin < first + tokens) segments_.push_back(begin - first);
    segments_.push_back(tokens);
    ahead_.clear();
    for (Index k = 0; k < depths; ++k) ahead_.push_back(batch.targets.data() + k * size + first);
    PassInput const input{
        {batch.tokens.data() + first, tokens}, &sequences_, &segments_, depths > 0 ? ahead_.data() : nullptr};
    pass_.forward(input, backward ? options.balance_weight / static_cast<double>(batch.rows) : 0.0);
    pass_.count_load({load_.data(), Model::moe_layers(), C.moe.experts});

    loss::HeadView const head{model_.head().packed(), model_.head().packed_backward(),
                              model_.head().weight().gradient_matrix()};
    Arena& arena = pass_.arena();
    d_normed_.resize(to_size(depths + 1));
    for (auto& d : d_normed_)
      d = backward ? arena.matrix<T>(tokens, C.dim) : MatrixView<T>{nullptr, tokens, C.dim};
    // Row by row and depth by depth: the head's gradient then sums in an order that micro-batches do not
    // change.
    for (Index b = 0; b < rows; ++b)
      for (Index k = 0; k <= depths; ++k) {
        Index const at = b * batch.length;
        double const weight = k == 0 ? 1.0 : options.mtp_weight / static_cast<double>(depths);
        double const mean = weight / static_cast<double>(max(counts_[to_size(k)], Index{1}));
        loss::language_model_loss(
            backend, head, pass_.normed(k).row_slice(at, batch.length),
            VectorView<std::int32_t const>(batch.targets.data() + k * size + first + at, batch.length),
            backward ? static_cast<T>(mean) : T(0), losses_[to_size(k)].data() + first + at,
            d_normed_[to_size(k)].row_slice(at, batch.length), arena);
      }
    if (!backward) return;
    pass_.backward(d_normed_);
    pass_.add_balance_loss(balance);
  }

  Model& model_;
  Pass<Model> pass_;
  Index micro_rows_;
  std::vector<std::vector<T>> losses_;
  std::vector<Index> counts_;
  std::vector<std::int64_t> load_;
  std::vector<Index> sequences_, segments_;
  std::vector<std::int32_t const*> ahead_;
  std::vector<MatrixView<T>> d_normed_;
};

}  // namespace aeth::train
