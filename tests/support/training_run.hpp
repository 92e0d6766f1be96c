/// Batches of random documents, and a training step on one: forward, the losses of all depths, backward.
#pragma once

#include <cstdint>
#include <vector>

#include "aeth/loss/language_model.hpp"
#include "aeth/model/model.hpp"
#include "aeth/model/pass.hpp"
#include "support/tensor.hpp"

namespace aeth::test {

/// Documents packed into one sequence.
using Sequence = std::vector<std::vector<std::int32_t>>;

/// Random documents of the given lengths.
inline Sequence random_sequence(std::vector<Index> const& lengths, std::uint64_t stream, int vocab) {
  Sequence out;
  for (std::size_t i = 0; i < lengths.size(); ++i)
    out.push_back(random_integers(lengths[i], stream * 100 + i, 0, vocab));
  return out;
}

/// Sequences one after another, with the tokens ahead within each document: -1 where there is none.
struct Batch {
  std::vector<std::int32_t> tokens;
  std::vector<Index> sequences{0}, segments{0};
  std::vector<std::vector<std::int32_t>> ahead;  ///< [k-1]: token i+k

  Batch(std::vector<Sequence> const& content, int depths) : ahead(static_cast<std::size_t>(depths) + 1) {
    for (Sequence const& sequence : content) {
      for (auto const& document : sequence) {
        tokens.insert(tokens.end(), document.begin(), document.end());
        for (std::size_t k = 1; k <= ahead.size(); ++k)
          for (std::size_t i = 0; i < document.size(); ++i)
            ahead[k - 1].push_back(i + k < document.size() ? document[i + k] : -1);
        segments.push_back(static_cast<Index>(tokens.size()));
      }
      sequences.push_back(static_cast<Index>(tokens.size()));
    }
  }
  [[nodiscard]] Index size() const { return static_cast<Index>(tokens.size()); }
};

/// Weights of order 1/sqrt(width) and gains around 1, so that every part of the model matters; biases of
/// either sign; with a large bias_scale every token makes the same choice, whatever its rounding.
template <class Model>
void randomize(Model& model, std::uint64_t seed, double bias_scale = 0.1) {
  std::uint64_t stream = seed * 1000;
  for (ParameterInfo const& p : model.parameters()) {
    bool const norm = p.kind == nn::ParameterKind::norm;
    double const scale = norm ? 0.2 : p.kind == nn::ParameterKind::embedding ? 1.0 : 1.0 / std::sqrt(p.cols);
    auto const values = random_tensor<double>(1, p.size(), ++stream, scale, norm ? 1.0 : 0.0);
    for (Index i = 0; i < p.size(); ++i)
      model.weights()[p.offset + i] = static_cast<typename Model::Master>(values.values[to_size(i)]);
  }
  auto const biases = model.biases();
  auto const values = random_tensor<double>(biases.rows, biases.cols, ++stream, bias_scale);
  for (Index i = 0; i < biases.rows * biases.cols; ++i)
    biases.data[i] = static_cast<typename Model::Exact>(values.values[to_size(i)]);
  model.prepare();
}

/// What multiplies the parts of the loss; all of them fixed for the whole batch.
struct LossWeights {
  double token = 0.01;   ///< of each token's cross entropy
  double mtp = 0.3;      ///< of each MTP depth beside that
  double balance = 0.0;  ///< of each sequence's balance loss
};

template <class Model>
PassInput pass_input(Batch const& batch, std::vector<std::int32_t const*>& ahead) {
  ahead.clear();
  for (int k = 0; k < Model::config.mtp_depth; ++k)
    ahead.push_back(batch.ahead[static_cast<std::size_t>(k)].data());
  return {{batch.tokens.data(), batch.size()},
          &batch.sequences,
          &batch.segments,
          ahead.empty() ? nullptr : ahead.data()};
}

/// The whole loss; gradients accumulate. The head sees (sequence, depth, token) in this order, as the
/// embedding does, so that splitting a batch by sequences changes no bit of its gradient.
template <class Model>
double training_step(Model& model, Pass<Model>& pass, Batch const& batch, LossWeights const& weights) {
  using T = typename Model::Exact;
  std::vector<std::int32_t const*> ahead;
  pass.forward(pass_input<Model>(batch, ahead), weights.balance);
  Index const depths = Model::config.mtp_depth, dim = Model::config.dim;
  std::vector<Tensor<T>> d_normed(to_size(depths + 1), Tensor<T>(batch.size(), dim));
  std::vector<T> losses(to_size(batch.size()));
  loss::HeadView const head{model.head().packed(), model.head().packed_backward(),
                            model.head().weight().gradient_matrix()};
  double total = 0;
  for (std::size_t b = 0; b + 1 < batch.sequences.size(); ++b) {
    Index const first = batch.sequences[b], rows = batch.sequences[b + 1] - first;
    for (Index k = 0; k <= depths; ++k) {
      double const scale = weights.token * (k == 0 ? 1.0 : weights.mtp);
      loss::language_model_loss(model.backend(), head, pass.normed(k).row_slice(first, rows),
                                VectorView<std::int32_t const>(batch.ahead[to_size(k)].data() + first, rows),
                                static_cast<T>(scale), losses.data(),
                                d_normed[to_size(k)].view().row_slice(first, rows), pass.arena());
      for (Index t = 0; t < rows; ++t) total += scale * static_cast<double>(losses[to_size(t)]);
    }
  }
  std::vector<MatrixView<T>> views;
  for (auto& d : d_normed) views.push_back(d.view());
  pass.backward(views);
  pass.add_balance_loss(total);
  return total;
}

template <class T>
std::vector<T> to_vector(VectorView<T> x) {
  return {x.begin(), x.end()};
}

}  // namespace aeth::test
