/// Every take from an arena that a training step makes, replayed on plans: activations, and the backend's scratch.
///
/// legend   T tokens of a micro-batch · D width · H heads · Q query rank · C latent rank · N, R, U head sizes
///          E experts · K per token · F expert width · V vocabulary · L layers
#pragma once

#include "aeth/config/layer_counts.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/training_types.hpp"
#include "aeth/core/arena_plan.hpp"
#include "aeth/core/math.hpp"

namespace aeth::detail {

/// Rows of logits that the loss holds at once: `loss::head_block_rows`.
[[nodiscard]] constexpr Index head_rows(ModelConfig const& c) noexcept {
  return max(min((Index{1} << 22) / c.vocab_size, Index{512}), Index{16});
}

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
    takes_.take(min(head_rows(c_), length_) * c_.vocab_size, types_.exact);  // `loss::language_model_loss`
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
    around_attention(has_experts, false);
    mla(false);
    takes_.take(rows_, types_.exact);
    ArenaPlan::Mark const mark = takes_.mark();
    remade(has_experts);
    if (has_experts) exact(c_.moe.experts);  // `nn::Router::forward`
    takes_.release(mark);
  }

  /// `nn::takes`: whether a tensor is taken that, where anything is, `is_remade`.
  [[nodiscard]] constexpr bool takes(bool is_remade, bool remade_now) const {
    return (types_.recomputes && is_remade) == remade_now;
  }

  /// `nn::Block::reserve_remade`
  constexpr void remade(bool has_experts) {
    if (!types_.recomputes) return;
    around_attention(has_experts, true);
    mla(true);
  }

  /// `nn::Block::reserve_around_attention`
  constexpr void around_attention(bool has_experts, bool now) {
    if (takes(true, now)) narrow(c_.dim);
    if (takes(false, now)) exact(c_.dim);
    if (takes(true, now)) narrow(c_.dim);
    if (takes(false, now)) exact(1);
    if (takes(false, now)) exact(1);
    if (has_experts)
      moe(now);
    else
      ffn(1, c_.ffn_dim, now);
  }

  /// `nn::FfnContext::reserve`
  constexpr void ffn(Index rows_per_token, Index hidden, bool now) {
    if (takes(types_.f8, now)) narrow(rows_per_token * 2 * hidden);
    if (takes(true, now)) narrow(rows_per_token * hidden);
    if (!types_.f8 || now) return;
    Index const rows = tokens_ * rows_per_token;  // `F8Rows::in`
    takes_.take(rows * round_up(2 * hidden, Index{64}), 1);
    takes_.take(rows * ceil_div(2 * hidden, Index{128}), sizeof(float));
  }
  /// What backward has of gradients.
  constexpr void ffn_backward(Index rows_per_token, Index hidden) {
    narrow(rows_per_token * 2 * hidden);
    narrow(rows_per_token * hidden);
  }

  /// `nn::Moe::reserve`
  constexpr void moe(bool now) {
    Index const k = c_.moe.top_k;
    if (takes(false, now)) {
      exact(c_.moe.experts);
      integers(k);
      exact(k);
      takes_.take(c_.moe.experts + 1, sizeof(Index));
      integers(k);
      integers(k);
    }
    if (takes(true, now)) narrow(k * c_.dim);
    if (takes(false, now)) narrow(k * c_.dim);
    ffn(k, c_.moe.hidden_dim, now);
    if (c_.moe.shared > 0) ffn(1, Index{c_.moe.shared} * c_.moe.hidden_dim, now);
  }

  /// `nn::MlaContext::reserve`
  constexpr void mla(bool now) {
    MlaConfig const& m = c_.mla;
    Index const heads = m.heads;
    bool const kept = takes(false, now), again = takes(true, now);
    if (m.q_rank > 0) {
      if (kept) narrow(m.q_rank);
      if (again) narrow(m.q_rank);
      if (kept) exact(1);
    }
    if (takes(m.q_rank > 0, now)) narrow(heads * m.qk_dim());
    if (kept) narrow(Index{m.kv_rank} + m.rope_dim);
    if (again) narrow(m.kv_rank);
    if (kept) exact(1);
    if (again) narrow(heads * (m.nope_dim + m.v_dim));
    if (!kept) return;
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
    remade(has_experts);
    exact(c_.dim);
    ArenaPlan::Mark const inside = takes_.mark();
    if (has_experts)
      moe_backward();
    else
      ffn_backward(1, c_.ffn_dim);
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
    if (c_.moe.shared > 0) ffn_backward(1, Index{c_.moe.shared} * c_.moe.hidden_dim);
    takes_.release(mark);
    ffn_backward(k, c_.moe.hidden_dim);
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

/// The takes of one micro-batch's products from the backend's scratch: operands that are not in the type that products
/// take them in are copied. Each function names the code that it follows.
class ScratchTakes {
 public:
  constexpr ScratchTakes(ArenaPlan& arena, ModelConfig const& config, TrainingTypes const& types,
                         Index tokens, Index length)
      : takes_(arena), c_(config), types_(types), tokens_(tokens), length_(length) {}

  /// Layers of a kind take the same, so one of each: those with experts last, which backward meets first.
  constexpr void step() {
    if (dense_ffn_layers(c_) > 0) layer(false, false);
    if (moe_layers(c_) > 0) layer(true, false);
    mtp(false);
    head();
    mtp(true);
    if (moe_layers(c_) > 0) layer(true, true);
    if (dense_ffn_layers(c_) > 0) layer(false, true);
  }

 private:
  /// A copy of an operand of other size than those of the product.
  constexpr void convert(Index rows, Index width, Index bytes, Index operand) {
    if (bytes != operand) takes_.take(rows * width, operand);
  }

  /// `Cpu::linear`, or `Cpu::linear_weight_grad` and the product for the gradient of x. y: bytes of its elements.
  constexpr void product(Index rows, Index in, Index out, Index y, Index operand, bool backward) {
    ArenaPlan::Mark const mark = takes_.mark();
    if (!backward) {
      convert(rows, in, types_.activation, operand);
      takes_.release(mark);
      return;
    }
    convert(rows, out, y, operand);
    convert(rows, in, types_.activation, operand);
    takes_.release(mark);
    convert(rows, out, y, operand);
    takes_.release(mark);
  }
  /// One of a layer's matrices, or of all experts'.
  constexpr void product(Index rows, Index in, Index out, Index y, bool backward, Index groups = 1) {
    if (!types_.f8) return product(rows, in, out, y, types_.packed, backward);
    ArenaPlan::Mark const mark = takes_.mark();
    if (backward) {
      f8_columns(rows, out, groups);
      f8_columns(rows, in, groups);
      takes_.release(mark);
    }
    f8_rows(rows, backward ? out : in);
    takes_.release(mark);
  }
  /// `Cpu::quantized_rows`
  constexpr void f8_rows(Index rows, Index width) {
    takes_.take(rows * width, 2);
    takes_.take(rows * ceil_div(width, Index{128}), sizeof(float));
  }
  /// `Cpu::quantized_columns`; each group but the first begins a block, on average half a block early.
  constexpr void f8_columns(Index rows, Index width, Index groups) {
    takes_.take(rows * width, 2);
    takes_.take(groups + 1, sizeof(Index));
    takes_.take((ceil_div(rows, Index{128}) + groups / 2) * width, sizeof(float));
  }

  /// `nn::Block`
  constexpr void layer(bool has_experts, bool backward) {
    if (!backward) mla(false);
    if (has_experts)
      moe(backward);
    else
      ffn(1, c_.ffn_dim, types_.exact, backward);
    if (backward) mla(true);
  }

  /// The projection of `nn::Mtp`
  constexpr void mtp(bool backward) {
    if (c_.mtp_depth > 0) product(tokens_, Index{2} * c_.dim, c_.dim, types_.exact, types_.packed, backward);
  }

  /// `nn::Ffn` or `nn::Experts`; y: bytes of an element of the result
  constexpr void ffn(Index rows_per_token, Index hidden, Index y, bool backward) {
    Index const rows = tokens_ * rows_per_token, a = types_.activation;
    Index const groups = rows_per_token > 1 ? Index{c_.moe.experts} : 1;
    if (backward) product(rows, hidden, c_.dim, y, true, groups);
    product(rows, c_.dim, 2 * hidden, a, backward, groups);
    if (!backward) product(rows, hidden, c_.dim, y, false, groups);
  }

  /// `nn::Moe`
  constexpr void moe(bool backward) {
    auto const shared = [&] {
      if (c_.moe.shared > 0) ffn(1, Index{c_.moe.shared} * c_.moe.hidden_dim, types_.exact, backward);
    };
    auto const router = [&] {
      product(tokens_, c_.dim, c_.moe.experts, types_.exact, types_.exact, backward);
    };
    backward ? shared() : router();
    ffn(c_.moe.top_k, c_.moe.hidden_dim, types_.activation, backward);
    backward ? router() : shared();
  }

  /// `nn::Mla`
  constexpr void mla(bool backward) {
    MlaConfig const& m = c_.mla;
    Index const heads = m.heads, a = types_.activation, x = types_.exact, width = c_.dim;
    auto const query = [&] {
      bool const direct = m.q_rank == 0;
      if (!direct && !backward) product(tokens_, width, m.q_rank, a, false);
      product(tokens_, direct ? width : Index{m.q_rank}, heads * m.qk_dim(), a, backward);
      if (!direct && backward) product(tokens_, width, m.q_rank, a, true);
    };
    auto const key_down = [&] { product(tokens_, width, Index{m.kv_rank} + m.rope_dim, a, backward); };
    auto const key_up = [&] { product(tokens_, m.kv_rank, heads * (m.nope_dim + m.v_dim), a, backward); };
    auto const out = [&] { product(tokens_, heads * m.v_dim, width, x, backward); };
    if (!backward) {
      query();
      key_down();
      key_up();
      return out();
    }
    out();
    ArenaPlan::Mark const mark = takes_.mark();
    takes_.take(tokens_ * heads * m.rope_dim,
                x);  // `Cpu::attention_backward`: rotary keys' gradients per head
    takes_.release(mark);
    key_up();
    key_down();
    query();
  }

  /// `loss::language_model_loss`
  constexpr void head() {
    Index const rows = min(head_rows(c_), length_);
    product(rows, c_.dim, c_.vocab_size, types_.exact, types_.packed, false);
    product(rows, c_.dim, c_.vocab_size, types_.exact, types_.packed, true);
  }

  ArenaPlan& takes_;
  ModelConfig const& c_;
  TrainingTypes const& types_;
  Index tokens_, length_;
};

}  // namespace aeth::detail
