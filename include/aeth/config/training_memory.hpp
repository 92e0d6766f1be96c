/// The memory of a training step, predicted from the configuration: weights and what belongs to them, the
/// activations of a micro-batch, the backend's scratch.
///
/// Activations are counted as the contexts of `nn/` and the pass of `model/` take them from an arena, one by one;
/// tests/unit/config/training_memory_test.cpp compares the bytes with an arena's own. Not counted are the text and the
/// program. docs/explanation/training_memory.md has measurements beside predictions.
///
/// legend   T tokens of a micro-batch · D width · H heads · Q query rank · C latent rank · N, R, U head sizes
///          E experts · K per token · F expert width · V vocabulary · L layers
#pragma once

#include "aeth/config/layer_counts.hpp"
#include "aeth/config/model_card.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// Bytes of one number in each of its roles; `training_types` knows those of a precision policy.
struct TrainingTypes {
  Index master = 4;           ///< weights as the optimizer sees them, gradients, moments
  Index rounded = 0;          ///< a copy of all weights, rounded for the forward pass; 0 = none
  Index packed = 4;           ///< the copy of the matrices that products read
  Index packed_group = 1;     ///< numbers of the copy that lie together: the inner extent is rounded up to it
  bool packed_twice = false;  ///< a second copy, transposed, for the gradients of inputs
  Index activation = 4;       ///< inputs and outputs of products, and their gradients
  Index exact = 4;            ///< residual stream, norms, router, logits
  Index operand = 4;          ///< in which products compute: operands of another size are copied first
  Index moments = 2;          ///< of the optimizer, per weight
};

/// The types of a precision policy of `numeric/precision.hpp`. With narrow weights the model keeps a rounded copy in
/// the master type, from which the packed one is made in that type, and products widen their operands.
template <class P>
[[nodiscard]] constexpr TrainingTypes training_types() noexcept {
  constexpr Index master = sizeof(typename P::Master);
  return {.master = master,
          .rounded = sizeof(typename P::Weight) == sizeof(typename P::Master) ? 0 : master,
          .packed = master,
          .activation = sizeof(typename P::Activation),
          .exact = sizeof(typename P::Exact),
          .operand = master};
}

/// What goes through a model at once.
struct TrainingBatch {
  Index rows = 16;
  Index length = 256;    ///< tokens of a row
  Index micro_rows = 0;  ///< rows at once; 0 = all

  [[nodiscard]] constexpr Index rows_at_once() const noexcept { return micro_rows > 0 ? micro_rows : rows; }
};

/// Bytes of a training run, by their place.
struct TrainingMemory {
  Index weights = 0;
  Index rounded = 0;
  Index packed = 0;
  Index gradients = 0;
  Index moments = 0;
  Index activations = 0;  ///< of forward, loss and backward
  Index scratch = 0;      ///< of the backend: copies of operands, and attention's in each thread

  [[nodiscard]] constexpr Index total() const noexcept {
    return weights + rounded + packed + gradients + moments + activations + scratch;
  }

  friend constexpr bool operator==(TrainingMemory const&, TrainingMemory const&) = default;
};

namespace detail {

/// An `Arena` that has no memory: what is taken from it, and the blocks that it would hold.
class ArenaPlan {
 public:
  struct Mark {
    Index block = 0, used = 0, taken = 0;
  };

  constexpr ArenaPlan() = default;
  ArenaPlan(ArenaPlan const&) = delete;
  ArenaPlan& operator=(ArenaPlan const&) = delete;
  constexpr ~ArenaPlan() { delete[] blocks_; }

  constexpr void take(Index count, Index width) {
    Index const bytes = round_up(count * width, Index{64});
    while (at_.block < count_ && at_.used + bytes > blocks_[at_.block]) at_ = {at_.block + 1, 0, at_.taken};
    if (at_.block == count_) add(max(bytes, Index{1} << 20));
    at_.used += bytes;
    at_.taken += bytes;
    most_taken_ = max(most_taken_, at_.taken);
  }
  [[nodiscard]] constexpr Mark mark() const noexcept { return at_; }
  constexpr void release(Mark mark) noexcept { at_ = mark; }

  [[nodiscard]] constexpr Index most_taken() const noexcept { return most_taken_; }
  [[nodiscard]] constexpr Index capacity() const noexcept { return capacity_; }

 private:
  // Not a std::vector: not every standard library has a constexpr one.
  constexpr void add(Index bytes) {
    if (count_ == room_) {
      room_ = 2 * room_ + 64;
      auto* const larger = new Index[to_size(room_)]{};
      for (Index i = 0; i < count_; ++i) larger[i] = blocks_[i];
      delete[] blocks_;
      blocks_ = larger;
    }
    blocks_[count_++] = bytes;
    capacity_ += bytes;
  }

  Index* blocks_ = nullptr;
  Index count_ = 0, room_ = 0, capacity_ = 0, most_taken_ = 0;
  Mark at_{};
};

/// The takes of a micro-batch, in the order of the layers; each function names the code that it follows.
class ActivationTakes {
 public:
  constexpr ActivationTakes(ArenaPlan& arena, ModelConfig const& config, TrainingTypes const& types,
                            Index rows, Index length)
      : takes_(arena), c_(config), types_(types), rows_(rows), length_(length), tokens_(rows * length) {}

  /// `train::Stepper::micro_batch`
  constexpr void step() {
    forward();
    for (Index depth = 0; depth <= c_.mtp_depth; ++depth) exact(c_.dim);  // gradients of normed states
    ArenaPlan::Mark const mark = takes_.mark();
    Index const block = max(min((Index{1} << 22) / c_.vocab_size, Index{512}), Index{16});
    takes_.take(min(block, length_) * c_.vocab_size, types_.exact);  // `loss::language_model_loss`
    takes_.release(mark);
    backward();
  }

 private:
  constexpr void exact(Index width) { takes_.take(tokens_ * width, types_.exact); }
  constexpr void narrow(Index width) { takes_.take(tokens_ * width, types_.activation); }
  constexpr void integers(Index width) { takes_.take(tokens_ * width, 4); }

  /// `Pass::forward`
  constexpr void forward() {
    for (Index layer = 0; layer <= c_.layers; ++layer) exact(c_.dim);
    narrow(c_.dim);
    exact(1);
    for (int layer = 0; layer < c_.layers; ++layer) block(c_.is_moe_layer(layer));
    for (Index depth = 0; depth < c_.mtp_depth; ++depth) mtp();
  }

  /// `nn::Mtp::reserve`
  constexpr void mtp() {
    exact(c_.dim);
    narrow(Index{2} * c_.dim);
    exact(c_.dim);
    exact(c_.dim);
    narrow(c_.dim);
    for (int inverse = 0; inverse < 3; ++inverse) exact(1);
    block(c_.moe.experts > 0);
  }

  /// `nn::Block::reserve` and `nn::Block::forward`
  constexpr void block(bool has_experts) {
    narrow(c_.dim);
    exact(c_.dim);
    narrow(c_.dim);
    exact(1);
    exact(1);
    if (has_experts)
      moe();
    else
      ffn(1, c_.ffn_dim);
    mla();
    takes_.take(rows_, types_.exact);
    if (!has_experts) return;
    ArenaPlan::Mark const mark = takes_.mark();
    exact(c_.moe.experts);  // `nn::Router::forward`
    takes_.release(mark);
  }

  /// `nn::FfnContext::reserve`
  constexpr void ffn(Index rows_per_token, Index hidden) {
    narrow(rows_per_token * 2 * hidden);
    narrow(rows_per_token * hidden);
  }

  /// `nn::Moe::reserve`
  constexpr void moe() {
    Index const k = c_.moe.top_k;
    exact(c_.moe.experts);
    integers(k);
    exact(k);
    takes_.take(c_.moe.experts + 1, sizeof(Index));
    integers(k);
    integers(k);
    narrow(k * c_.dim);
    narrow(k * c_.dim);
    ffn(k, c_.moe.hidden_dim);
    if (c_.moe.shared > 0) ffn(1, Index{c_.moe.shared} * c_.moe.hidden_dim);
  }

  /// `nn::MlaContext::reserve`
  constexpr void mla() {
    MlaConfig const& m = c_.mla;
    Index const heads = m.heads;
    if (m.q_rank > 0) {
      narrow(m.q_rank);
      narrow(m.q_rank);
      exact(1);
    }
    narrow(heads * m.qk_dim());
    narrow(Index{m.kv_rank} + m.rope_dim);
    narrow(m.kv_rank);
    exact(1);
    narrow(heads * (m.nope_dim + m.v_dim));
    narrow(heads * m.v_dim);
    exact(heads);
    exact(heads);
  }

  /// `Pass::backward`
  constexpr void backward() {
    for (Index depth = 0; depth <= c_.mtp_depth; ++depth) exact(c_.dim);
    for (Index depth = 0; depth < c_.mtp_depth; ++depth) {
      exact(c_.dim);
      ArenaPlan::Mark const mark = takes_.mark();
      exact(Index{2} * c_.dim);
      block_backward(c_.moe.experts > 0);
      takes_.release(mark);
    }
    if (moe_layers(c_) > 0) block_backward(true);
    if (dense_ffn_layers(c_) > 0) block_backward(false);
  }

  /// `nn::Block::backward`
  constexpr void block_backward(bool has_experts) {
    ArenaPlan::Mark const mark = takes_.mark();
    exact(c_.dim);
    ArenaPlan::Mark const inside = takes_.mark();
    if (has_experts)
      moe_backward();
    else
      ffn(1, c_.ffn_dim);
    takes_.release(inside);
    mla_backward();
    takes_.release(mark);
  }

  /// `nn::Moe::backward` with a balance loss
  constexpr void moe_backward() {
    Index const k = c_.moe.top_k;
    narrow(k * c_.dim);
    narrow(k * c_.dim);
    exact(k);
    exact(c_.moe.experts);
    ArenaPlan::Mark const mark = takes_.mark();
    if (c_.moe.shared > 0) ffn(1, Index{c_.moe.shared} * c_.moe.hidden_dim);
    takes_.release(mark);
    ffn(k, c_.moe.hidden_dim);
    takes_.release(mark);
    exact(c_.moe.experts);
  }

  /// `nn::Mla::backward`
  constexpr void mla_backward() {
    MlaConfig const& m = c_.mla;
    Index const heads = m.heads;
    narrow(heads * m.v_dim);
    narrow(heads * m.qk_dim());
    narrow(heads * (m.nope_dim + m.v_dim));
    narrow(Index{m.kv_rank} + m.rope_dim);
    narrow(m.kv_rank);
    if (m.q_rank == 0) return;
    narrow(m.q_rank);
    narrow(m.q_rank);
  }

  ArenaPlan& takes_;
  ModelConfig const& c_;
  TrainingTypes const& types_;
  Index rows_, length_, tokens_;
};

/// Every matrix that products read: visit(out, in, copies), layer by layer.
template <class Visit>
constexpr void for_each_matrix(ModelConfig const& c, Visit const& visit) noexcept {
  Index const width = c.dim, heads = c.mla.heads;
  auto const block = [&](Index count, bool has_experts) {
    MlaConfig const& m = c.mla;
    if (m.q_rank > 0) visit(Index{m.q_rank}, width, count);
    visit(heads * m.qk_dim(), m.q_rank > 0 ? Index{m.q_rank} : width, count);
    visit(Index{m.kv_rank} + m.rope_dim, width, count);
    visit(heads * (m.nope_dim + m.v_dim), Index{m.kv_rank}, count);
    visit(width, heads * m.v_dim, count);
    auto const ffn = [&](Index hidden, Index copies) {
      visit(2 * hidden, width, copies);
      visit(width, hidden, copies);
    };
    if (!has_experts) return ffn(c.ffn_dim, count);
    visit(Index{c.moe.experts}, width, count);
    ffn(c.moe.hidden_dim, count * c.moe.experts);
    if (c.moe.shared > 0) ffn(Index{c.moe.shared} * c.moe.hidden_dim, count);
  };
  block(dense_ffn_layers(c), false);
  block(moe_layers(c), true);
  visit(Index{c.vocab_size}, width, 1);
  if (c.mtp_depth == 0) return;
  visit(width, 2 * width, c.mtp_depth);
  block(c.mtp_depth, c.moe.experts > 0);
}

/// Numbers of the packed copies: rows in sixteens. Attention's value matrices are there once more, head by head.
[[nodiscard]] constexpr Index packed_numbers(ModelConfig const& c, TrainingTypes const& types) noexcept {
  auto const size = [&](Index out, Index in) {
    return round_up(out, Index{16}) * round_up(in, types.packed_group);
  };
  Index total = (Index{c.layers} + c.mtp_depth) * c.mla.heads * size(c.mla.v_dim, c.mla.kv_rank);
  for_each_matrix(c, [&](Index out, Index in, Index copies) {
    total += copies * (size(out, in) + (types.packed_twice ? size(in, out) : 0));
  });
  return total;
}

/// Most bytes that one product copies: its operands, where they are not in the type that products compute in.
[[nodiscard]] constexpr Index copied_operands(ModelConfig const& c, TrainingTypes const& types,
                                              Index tokens) noexcept {
  Index most = 0;
  auto const product = [&](Index rows, Index in, Index out, Index out_bytes) {
    Index const left = types.activation == types.operand ? 0 : rows * in * types.operand;
    Index const right = out_bytes == types.operand ? 0 : rows * out * types.operand;
    most = max(most, left + right);
  };
  Index const a = types.activation, x = types.exact, width = c.dim, heads = c.mla.heads;
  MlaConfig const& m = c.mla;
  product(tokens, m.q_rank > 0 ? Index{m.q_rank} : width, heads * m.qk_dim(), a);
  product(tokens, width, Index{m.kv_rank} + m.rope_dim, a);
  product(tokens, m.kv_rank, heads * (m.nope_dim + m.v_dim), a);
  product(tokens, heads * m.v_dim, width, x);
  if (dense_ffn_layers(c) > 0 || c.moe.experts == 0) {
    product(tokens, width, Index{2} * c.ffn_dim, a);
    product(tokens, c.ffn_dim, width, x);
  }
  if (c.moe.experts > 0) {
    Index const rows = tokens * c.moe.top_k;
    product(rows, width, Index{2} * c.moe.hidden_dim, a);
    product(rows, c.moe.hidden_dim, width, a);
    if (c.moe.shared > 0) product(tokens, width, Index{2} * c.moe.shared * c.moe.hidden_dim, a);
  }
  if (c.mtp_depth > 0) product(tokens, 2 * width, width, x);
  return most;
}

/// What `Cpu` reserves in each thread for attention over rows of `length` tokens (backend/cpu/attention.hpp), one
/// mebibyte at least.
[[nodiscard]] constexpr Index thread_scratch(ModelConfig const& c, TrainingTypes const& types,
                                             Index length) noexcept {
  constexpr Index tile = 48, product = 256 * (252 + 64) + 252 * 20;
  Index const heads = Index{c.mla.qk_dim()} + c.mla.v_dim, keys = round_up(length, Index{64});
  Index const numbers = keys * (3 * heads + 2 * tile) + tile * (heads + c.mla.qk_dim()) + product;
  return max(numbers * types.exact, Index{1} << 20);
}

}  // namespace detail

/// Bytes of activations of a micro-batch.
struct ActivationBytes {
  Index most_taken = 0;  ///< in use at the peak of a step
  Index held = 0;        ///< by the arena, whose blocks are not full to their ends

  friend constexpr bool operator==(ActivationBytes const&, ActivationBytes const&) = default;
};

[[nodiscard]] constexpr ActivationBytes activation_bytes(ModelConfig const& c, TrainingBatch const& batch,
                                                         TrainingTypes const& types) {
  detail::ArenaPlan arena;
  detail::ActivationTakes(arena, c, types, batch.rows_at_once(), batch.length).step();
  return {arena.most_taken(), arena.capacity()};
}

/// The memory of `train::Trainer` on `Cpu` with so many threads. The configuration must be valid.
[[nodiscard]] constexpr TrainingMemory training_memory(ModelConfig const& c, TrainingBatch const& batch,
                                                       TrainingTypes const& types = {}, Index threads = 1) {
  Index const weights = trainable_parameters(c), tokens = batch.rows_at_once() * batch.length;
  Index const rotary_keys = tokens * c.mla.heads * c.mla.rope_dim * types.exact;
  return {.weights = weights * types.master,
          .rounded = weights * types.rounded,
          .packed = detail::packed_numbers(c, types) * types.packed,
          .gradients = weights * types.master,
          .moments = weights * types.moments * types.master,
          .activations = activation_bytes(c, batch, types).held,
          .scratch = max(detail::copied_operands(c, types, tokens), rotary_keys) +
                     threads * detail::thread_scratch(c, types, batch.length)};
}

}  // namespace aeth
