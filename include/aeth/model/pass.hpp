/// One forward pass over a batch of packed sequences, and the backward pass that follows it.
///
/// legend   T tokens of the batch · D width · V vocabulary · E experts
#pragma once

#include <cstdint>
#include <vector>

#include "aeth/core/arena.hpp"
#include "aeth/core/error.hpp"
#include "aeth/model/model.hpp"
#include "aeth/ops/embedding.hpp"

namespace aeth {

/// What a pass reads. Sequences lie one after another; a segment is what attention may see of a sequence (all
/// of it, or one document), and positions count from its start.
struct PassInput {
  VectorView<std::int32_t const> tokens;  ///< [T]
  std::vector<Index> const* sequences{};  ///< [B+1] row offsets, for the balance loss; first 0, last T
  std::vector<Index> const* segments{};   ///< [S+1] row offsets, a refinement of `sequences`
  std::int32_t const* const* ahead =
      nullptr;  ///< per MTP depth k = 1…: [T] token i+k, negative where there is none
};

/// Activations of one model for up to the largest batch seen; after the first pass of a size it allocates
/// nothing, however its sequences are cut into segments.
template <class Model>
class Pass {
  static constexpr ModelConfig C = Model::config;
  using P = typename Model::PrecisionPolicy;
  using T = typename P::Exact;
  using A = typename P::Activation;

 public:
  explicit Pass(Model const& model) : model_(model) {
    blocks_.resize(to_size(C.layers));
    mtp_.resize(to_size(C.mtp_depth));
    stream_.resize(to_size(C.layers + 1));
  }

  /// Computes every hidden state. `balance_weight` is alpha over the number of sequences of the whole batch,
  /// for backward.
  void forward(PassInput const& input, double balance_weight = 0.0) {
    auto& backend = model_.backend();
    arena_.release({});
    input_ = input;
    tokens_ = input.tokens.size;
    check(input);
    require_offsets("sequences", input.sequences);
    require_offsets("segments", input.segments);
    place(*input.segments, balance_weight);
    for (auto& x : stream_) x = arena_.matrix<T>(tokens_, C.dim);
    normed_ = arena_.matrix<A>(tokens_, C.dim);
    final_inverse_ = arena_.take<T>(tokens_);
    Index const sequences = static_cast<Index>(input.sequences->size()) - 1;
    ops::embed(backend, model_.embedding().matrix(), input.tokens, stream_[0]);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      model_.blocks()[i].reserve(arena_, tokens_, sequences, blocks_[i]);
      model_.blocks()[i].forward(backend, stream_[i], stream_[i + 1], geometry_, blocks_[i], arena_);
    }
    model_.final_norm().forward(backend, stream_.back(), normed_, final_inverse_);
    if (!input.ahead) return;
    for (std::size_t k = 0; k < mtp_.size(); ++k) {
      auto& c = mtp_[k];
      model_.mtp()[k].reserve(arena_, tokens_, sequences, c);
      ops::embed(backend, model_.embedding().matrix(),
                 VectorView<std::int32_t const>(input.ahead[k], tokens_), c.embedding);
      if constexpr (C.mtp_input == MtpInput::post_norm)
        model_.mtp()[k].forward(backend, k == 0 ? normed_ : mtp_[k - 1].normed, geometry_, c, arena_);
      else
        model_.mtp()[k].forward(backend, k == 0 ? stream_.back() : mtp_[k - 1].out, geometry_, c, arena_);
    }
  }

  /// The residual stream before layer i; i = L is after the last layer, before the final norm.
  [[nodiscard]] MatrixView<T> hidden(Index layer) const { return stream_[to_size(layer)]; }

  /// What the head reads at depth 0 (main model) or k (MTP module k), [T,D].
  [[nodiscard]] MatrixView<A> normed(Index depth = 0) const {
    return depth == 0 ? normed_ : mtp_[to_size(depth - 1)].normed;
  }
  [[nodiscard]] nn::RouterContext<P> const& router(Index layer) const {
    return blocks_[to_size(layer)].moe.router;
  }

  /// The largest attention logit of each query and head in layer i, scale included, [T·H].
  [[nodiscard]] VectorView<T const> largest_logits(Index layer) const {
    return {blocks_[to_size(layer)].mla.softmax.shift, tokens_ * C.mla.heads};
  }

  /// d_normed[k] [T,D] is the loss gradient of normed(k) and is used up. Weight gradients accumulate; those
  /// of the embedding in the order (sequence, depth, token), so that splitting a batch by sequences changes
  /// no bit.
  void backward(std::vector<MatrixView<T>> const& d_normed) {
    auto& backend = model_.backend();
    ArenaScope const scope(arena_);
    Index const depths = input_.ahead ? C.mtp_depth : 0;
    std::vector<MatrixView<T>>& d_stream = d_stream_;
    d_stream.resize(to_size(depths + 1));
    d_embedding_.resize(to_size(depths + 1));
    for (auto& d : d_stream) {
      d = arena_.matrix<T>(tokens_, C.dim);
      for (Index i = 0; i < tokens_ * C.dim; ++i) d.data[i] = T(0);
    }
    for (Index k = depths; k > 0; --k) {
      auto const i = to_size(k - 1);
      d_embedding_[to_size(k)] = arena_.matrix<T>(tokens_, C.dim);
      if constexpr (C.mtp_input == MtpInput::post_norm)
        model_.mtp()[i].backward(backend, d_normed[to_size(k)], d_stream[to_size(k)],
                                 k == 1 ? normed_ : mtp_[i - 1].normed, d_embedding_[to_size(k)], d_normed[i],
                                 geometry_, mtp_[i], arena_);
      else
        model_.mtp()[i].backward(backend, d_normed[to_size(k)], d_stream[to_size(k)],
                                 k == 1 ? stream_.back() : mtp_[i - 1].out, d_embedding_[to_size(k)],
                                 d_stream[i], geometry_, mtp_[i], arena_);
    }
    model_.final_norm().backward(backend, d_normed[0], stream_.back(), final_inverse_, d_stream[0],
                                 Write::accumulate);
    for (std::size_t i = blocks_.size(); i-- > 0;)
      model_.blocks()[i].backward(backend, d_stream[0], geometry_, blocks_[i], arena_);
    d_embedding_[0] = d_stream[0];
    auto const& sequences = *input_.sequences;
    for (std::size_t b = 0; b + 1 < sequences.size(); ++b)
      for (Index k = 0; k <= depths; ++k) {
        std::int32_t const* const ids = k == 0 ? input_.tokens.data : input_.ahead[k - 1];
        Index const rows = sequences[b + 1] - sequences[b];
        ops::embed_backward(backend, as_const(d_embedding_[to_size(k)].row_slice(sequences[b], rows)),
                            VectorView<std::int32_t const>(ids + sequences[b], rows),
                            model_.embedding().gradient_matrix());
      }
  }

  /// Adds this pass's tokens per expert to load [moe_layers, E].
  void count_load(MatrixView<std::int64_t> load) const {
    Index row = 0;
    auto const add = [&](nn::Dispatch const& dispatch) {
      for (Index e = 0; e < C.moe.experts; ++e) load(row, e) += dispatch.load(e);
      ++row;
    };
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      if (model_.blocks()[i].has_experts()) add(blocks_[i].moe.dispatch);
    if (C.moe.experts > 0 && input_.ahead)
      for (auto const& c : mtp_) add(c.block.moe.dispatch);
  }

  /// Adds the balance losses of all layers that the last backward pass computed, sequence by sequence: a batch
  /// has the same total, however it is split.
  void add_balance_loss(double& total) const {
    auto const sequences = input_.sequences->size() - 1;
    for (std::size_t b = 0; b < sequences; ++b) {
      for (auto const& c : blocks_) total += static_cast<double>(c.balance_loss[b]);
      if (input_.ahead)
        for (auto const& c : mtp_) total += static_cast<double>(c.block.balance_loss[b]);
    }
  }

  /// Scratch that lives until the next forward, for what surrounds the pass.
  [[nodiscard]] Arena& arena() { return arena_; }
  [[nodiscard]] Arena const& arena() const { return arena_; }

 private:
  static void check(PassInput const& input) {
    auto const below_vocab = [&](std::int32_t const* tokens, char const* what) {
      for (Index i = 0; i < input.tokens.size; ++i)
        expect<DataError>(tokens[i] < C.vocab_size, "pass: ", what, " ", tokens[i], " at position ", i,
                          " is not below ModelConfig::vocab_size = ", C.vocab_size,
                          "; the tokenizer and the model do not belong together");
    };
    for (Index i = 0; i < input.tokens.size; ++i)
      expect<DataError>(input.tokens[i] >= 0, "pass: token ", input.tokens[i], " at position ", i,
                        " is negative; only tokens ahead may be missing");
    below_vocab(input.tokens.data, "token");
    for (Index k = 0; input.ahead && k < C.mtp_depth; ++k) below_vocab(input.ahead[k], "token ahead");
  }

  /// Offsets must ascend from 0 to the number of tokens.
  void require_offsets(char const* name, std::vector<Index> const* offsets) const {
    expect<ShapeError>(offsets && offsets->size() >= 2 && offsets->front() == 0 && offsets->back() == tokens_,
                       "pass: ", name, " must run from 0 to the number of tokens, ", tokens_);
    for (std::size_t i = 1; i < offsets->size(); ++i)
      expect<ShapeError>((*offsets)[i] > (*offsets)[i - 1], "pass: ", name, " must ascend; number ", i,
                         " is ", (*offsets)[i], " after ", (*offsets)[i - 1]);
  }

  void place(std::vector<Index> const& segments, double balance_weight) {
    geometry_.spans.reserve(to_size(tokens_));
    positions_.resize(to_size(tokens_));
    geometry_.spans.clear();
    // A later pass of this size may have longer segments, up to a whole sequence: room is made for those now.
    Index longest_sequence = 0, longest = 0;
    for (std::size_t b = 0; b + 1 < input_.sequences->size(); ++b)
      longest_sequence = max(longest_sequence, (*input_.sequences)[b + 1] - (*input_.sequences)[b]);
    for (std::size_t s = 0; s + 1 < segments.size(); ++s) {
      Index const first = segments[s], size = segments[s + 1] - first;
      for (Index i = 0; i < size; ++i) positions_[to_size(first + i)] = static_cast<std::int32_t>(i);
      geometry_.spans.push_back({first, size, first, size});
      longest = max(longest, size);
    }
    model_.blocks().front().attention().reserve_scratch(model_.backend(), longest_sequence);
    auto const& table = model_.rotary(max(longest, min<Index>(longest_sequence, C.max_context)));
    geometry_.rotary = {positions_.data(), table.cosine(), table.sine()};
    geometry_.balance = {balance_weight,
                         {input_.sequences->data(), static_cast<Index>(input_.sequences->size())}};
  }

  Model const& model_;
  Arena arena_;
  PassInput input_;
  Index tokens_ = 0;
  std::vector<std::int32_t> positions_;
  nn::PassGeometry<T> geometry_;
  std::vector<MatrixView<T>> stream_;
  std::vector<typename Model::Block::Context> blocks_;
  std::vector<typename Model::Mtp::Context> mtp_;
  std::vector<MatrixView<T>> d_stream_, d_embedding_;
  MatrixView<A> normed_;
  T* final_inverse_ = nullptr;
};

}  // namespace aeth
