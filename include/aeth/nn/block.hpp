/// One decoder layer: x + MLA(norm(x)), then x + FFN(norm(x)) with a dense or a mixture-of-experts FFN.
///
/// legend   T tokens · D width
/// source   DeepSeek-V3 inference code, class `Block`
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/nn/ffn.hpp"
#include "aeth/nn/mla.hpp"
#include "aeth/nn/moe/moe.hpp"
#include "aeth/nn/rms_norm.hpp"

namespace aeth::nn {

/// What the layers of a pass share: where tokens stand, who sees whom, what is balanced.
template <class T>
struct PassGeometry {
  ops::RotaryView<T> rotary;
  std::vector<AttentionSpan> spans;
  BalanceTerm balance;
};

/// What changes a layer's code; everything else of a ModelConfig bounds loops. Models that share these share
/// their layers.
struct BlockConfig {
  int dim = 0;
  double norm_eps = 1e-6;
  MlaConfig mla{};
  MoeConfig moe{};

  friend constexpr bool operator==(BlockConfig const&, BlockConfig const&) = default;
};

[[nodiscard]] constexpr BlockConfig block_config(ModelConfig const& c) {
  return {c.dim, c.norm_eps, c.mla, c.moe};
}

/// What forward leaves for backward, and what both work with.
template <BlockConfig C, class P>
struct BlockContext {
  using A = typename P::Activation;
  using T = typename P::Exact;
  MatrixView<T> x;        ///< [T,D] the block's input, owned by whoever called forward
  MatrixView<A> attn_in;  ///< [T,D] normed
  MatrixView<T> middle;   ///< [T,D] residual stream between attention and FFN
  MatrixView<A> ffn_in;   ///< [T,D] normed
  T* attn_inverse = nullptr;
  T* ffn_inverse = nullptr;
  T* balance_loss = nullptr;  ///< [B]
  MlaContext<C.mla, P> mla;
  FfnContext<P> ffn;
  MoeContext<P> moe;
};

/// A layer of the main model or of an MTP module. Whether it has experts is a run-time choice, so that a
/// model's depth and its number of dense layers are loop bounds and not types.
///
/// shapes   x [T,D] → out [T,D]
/// types    the residual stream in P::Exact, the sublayers' inputs in P::Activation
template <BlockConfig C, class P, class B>
class Block {
 public:
  using A = typename P::Activation;
  using T = typename P::Exact;
  using Context = BlockContext<C, P>;

  /// ffn_dim: width of the dense FFN, unused with experts.
  Block(bool has_experts, Index ffn_dim) {
    if (has_experts)
      moe_.emplace();
    else
      ffn_.emplace(C.dim, ffn_dim);
  }

  [[nodiscard]] bool has_experts() const { return moe_.has_value(); }

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    attn_norm_.for_each_parameter(name + ".input_layernorm", visit);
    mla_.for_each_parameter(name + ".self_attn", visit);
    ffn_norm_.for_each_parameter(name + ".post_attention_layernorm", visit);
    if (ffn_) ffn_->for_each_parameter(name + ".mlp", visit);
    if (moe_) moe_->for_each_parameter(name + ".mlp", visit);
  }
  template <class Visit>
  void for_each_bias(std::string const& name, Visit&& visit) {
    if (moe_) moe_->for_each_bias(name + ".mlp", visit);
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    mla_.for_each_packed(visit);
    if (ffn_) ffn_->for_each_packed(visit);
    if (moe_) moe_->for_each_packed(visit);
  }

  /// `sequences`: how many balance losses backward may write.
  void reserve(Arena& arena, Index tokens, Index sequences, Context& c) const {
    reserve_around_attention(arena, tokens, c, Hold::kept);
    c.mla.reserve(arena, tokens, Hold::kept);
    c.balance_loss = arena.take<T>(sequences);
    for (Index b = 0; b < sequences; ++b) c.balance_loss[b] = T(0);
  }

  void forward(B& backend, MatrixView<T> x, MatrixView<T> out, PassGeometry<T> const& pass, Context& c,
               Arena& arena) const {
    ArenaScope const scope(arena);
    reserve_remade(arena, x.rows, c);
    begin(backend, x, c);
    mla_.forward(backend, c.attn_in, pass.rotary, pass.spans, c.middle, c.mla);
    finish(backend, out, c, arena);
  }

  /// The two halves around attention, for callers that bring a cache of their own.
  void reserve_around_attention(Arena& arena, Index tokens, Context& c, Hold hold = Hold::all) const {
    bool const kept = takes(hold, false), remade = takes(hold, P::recomputes);
    if (remade) c.attn_in = arena.matrix<A>(tokens, C.dim);
    if (kept) c.middle = arena.matrix<T>(tokens, C.dim);
    if (remade) c.ffn_in = arena.matrix<A>(tokens, C.dim);
    if (kept) c.attn_inverse = arena.take<T>(tokens);
    if (kept) c.ffn_inverse = arena.take<T>(tokens);
    if (ffn_) ffn_->reserve(arena, tokens, c.ffn, hold);
    if (moe_) moe_->reserve(arena, tokens, c.moe, hold);
  }
  /// c.attn_in = norm(x)
  void begin(B& backend, MatrixView<T> x, Context& c) const {
    c.x = x;
    attn_norm_.forward(backend, x, c.attn_in, c.attn_inverse);
  }
  /// From attention's output in c.middle to out.
  void finish(B& backend, MatrixView<T> out, Context& c, Arena& arena) const {
    ops::add(backend, c.x, c.middle);
    ffn_norm_.forward(backend, c.middle, c.ffn_in, c.ffn_inverse);
    if (ffn_) ffn_->forward(backend, c.ffn_in, out, c.ffn);
    if (moe_) moe_->forward(backend, c.ffn_in, out, c.moe, arena);
    ops::add(backend, c.middle, out);
  }

  /// dx holds d(out) on entry and d(x) on return; weight gradients accumulate.
  void backward(B& backend, MatrixView<T> dx, PassGeometry<T> const& pass, Context& c, Arena& arena) const {
    ArenaScope const scope(arena);
    reserve_remade(arena, dx.rows, c);
    if constexpr (P::recomputes) {
      attn_norm_.forward(backend, c.x, c.attn_in, c.attn_inverse);
      ffn_norm_.forward(backend, c.middle, c.ffn_in, c.ffn_inverse);
    }
    auto const d_normed = arena.matrix<T>(dx.rows, C.dim);
    if (ffn_) ffn_->backward(backend, dx, c.ffn_in, d_normed, Write::overwrite, c.ffn, arena);
    if (moe_) moe_->backward(backend, dx, c.ffn_in, d_normed, pass.balance, c.balance_loss, c.moe, arena);
    ffn_norm_.backward(backend, d_normed, c.middle, c.ffn_inverse, dx, Write::accumulate);
    mla_.backward(backend, dx, c.attn_in, pass.rotary, pass.spans, d_normed, c.mla, arena);
    attn_norm_.backward(backend, d_normed, c.x, c.attn_inverse, dx, Write::accumulate);
  }

  [[nodiscard]] Mla<C.mla, C.dim, P, B> const& attention() const { return mla_; }

  void update_bias(VectorView<std::int64_t const> load, double rate) {
    if (moe_) moe_->update_bias(load, rate);
  }

 private:
  void reserve_remade(Arena& arena, Index tokens, Context& c) const {
    if constexpr (P::recomputes) {
      reserve_around_attention(arena, tokens, c, Hold::remade);
      c.mla.reserve(arena, tokens, Hold::remade);
    }
  }

  RmsNorm<P, B> attn_norm_{C.dim, C.norm_eps};
  Mla<C.mla, C.dim, P, B> mla_;
  RmsNorm<P, B> ffn_norm_{C.dim, C.norm_eps};
  std::optional<Ffn<P, B>> ffn_;
  std::optional<Moe<C.moe, C.dim, P, B>> moe_;
};

}  // namespace aeth::nn
