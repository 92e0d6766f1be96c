/// What a backend must offer: one concept per family of operations, so that a message names what is missing.
///
/// Each asks with the views of a precision policy: activations [T,D] in P::Activation, the residual stream
/// and statistics in P::Exact, weights and gradients in P::Master. What the operations mean is written at
/// `Cpu`, how their shapes are checked in `ops/`.
#pragma once

#include <concepts>
#include <cstdint>
#include <vector>

#include "aeth/backend/types.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/core/view.hpp"
#include "aeth/numeric/f8_rows.hpp"
#include "aeth/numeric/precision.hpp"

namespace aeth {

namespace archetype {

/// The smallest task that `parallel` runs: index of the task, thread that runs it.
struct Task {
  void operator()(Index, int) const {}
};

/// One value of each kind of argument, for precision P. Declared only: concepts evaluate nothing.
template <class P>
struct Operands {
  using A = typename P::Activation;
  using T = typename P::Exact;
  MatrixView<A const> x;                   ///< an activation that is read
  MatrixView<A> y;                         ///< an activation that is written
  MatrixView<T const> xt;                  ///< a number of the residual stream, scores or a weight, read
  MatrixView<T> yt;                        ///< the same, written
  T* t = nullptr;                          ///< statistics, gains, flat buffers
  T const* ct = nullptr;                   ///< tables
  typename P::Weight* w = nullptr;         ///< packed weights, written
  typename P::Weight const* cw = nullptr;  ///< packed weights, read
  typename P::WideWeight* wide = nullptr;  ///< packed weights of the wider type, written
  typename P::WideWeight const* cwide = nullptr;
  typename P::Moment* moment = nullptr;  ///< of the optimizer
  T scalar{};                            ///< a scale
  double weight = 0;
  Index n = 0;
  Index const* first = nullptr;
  std::int32_t const* rows = nullptr;
  MatrixView<std::int32_t const> experts;
  MatrixView<std::int32_t> chosen;
  VectorView<Index const> sequences;
  std::vector<AttentionSpan> spans;
  AttentionShape shape;
  SoftmaxStatistics<T> statistics;
  RoutingRule rule;
  AdamWConstants<T> constants;
  Write write = Write::overwrite;
};

}  // namespace archetype

/// Runs independent tasks, each told which of `threads()` threads it is on, and returns when all are done.
template <class B>
concept HasParallel = requires(B& b, archetype::Task task) {
  { b.threads() } -> std::same_as<int>;
  b.parallel(Index{1}, task);
};

/// A form of its own for weights, and its size in elements.
template <class B, class P>
concept HasPackedWeights = requires(B& b, archetype::Operands<P>& o) {
  { B::template packed_size<typename P::Weight>(o.n, o.n) } -> std::same_as<Index>;
  { B::template packed_size<typename P::WideWeight>(o.n, o.n) } -> std::same_as<Index>;
  { B::template packed_size<typename P::Exact>(o.n, o.n) } -> std::same_as<Index>;
  b.pack_weights(o.xt, o.w);
  b.pack_weights(o.xt, o.wide);
  b.pack_weights(o.xt, o.t);
  b.pack_transposed(o.xt, o.w);
  b.pack_transposed(o.xt, o.wide);
  b.pack_transposed(o.xt, o.t);
};

/// For weights in FP8: their values in the wider type, which the absorbed form of attention takes.
template <class B, class P>
concept HasWidePacking =
    !std::same_as<typename P::Weight, e4m3> || requires(B & b, archetype::Operands<P>& o) {
  b.pack_from_f8(o.xt, o.n, o.n, o.wide, true);
};

/// y = x · wᵀ from and to either storage, and the weight's gradient.
/// For policies that keep activations in FP8.
template <class B, class P>
concept HasF8Rows = std::same_as<typename P::Kept, typename P::Activation> ||
    requires(B& b, F8Rows const& kept, archetype::Operands<P>& o) {
  b.keep_f8(o.x, kept);
  b.restore_f8(kept, o.y);
};

template <class B, class P>
concept SupportsLinear = requires(B& b, archetype::Operands<P>& o) {
  b.linear(o.x, o.cw, o.y, o.write);
  b.linear(o.x, o.cw, o.yt, o.write);
  b.linear(o.xt, o.cw, o.y, o.write);
  b.linear(o.xt, o.cw, o.yt, o.write);
  b.linear(o.x, o.cwide, o.yt, o.write);
  b.linear(o.xt, o.cwide, o.yt, o.write);
  b.linear(o.xt, o.ct, o.yt, o.write);
  b.linear(o.x, o.ct, o.yt, o.write);
  b.linear_per_head(o.n, o.x, o.n, o.n, o.cw, o.n, o.n, o.yt, o.n);
  b.linear_per_head(o.n, o.xt, o.n, o.n, o.cw, o.n, o.n, o.y, o.n);
  b.linear_per_head(o.n, o.x, o.n, o.n, o.cwide, o.n, o.n, o.yt, o.n);
  b.linear_per_head(o.n, o.xt, o.n, o.n, o.cwide, o.n, o.n, o.y, o.n);
  b.template linear_weight_grad<typename P::Weight>(o.x, o.x, o.yt);
  b.template linear_weight_grad<typename P::Weight>(o.xt, o.x, o.yt);
  b.template linear_weight_grad<typename P::WideWeight>(o.xt, o.x, o.yt);
  b.template linear_weight_grad<typename P::Exact>(o.xt, o.x, o.yt);
};

/// The same over groups of rows, one weight per group.
template <class B, class P>
concept SupportsGroupedLinear = requires(B& b, archetype::Operands<P>& o) {
  b.grouped_linear(o.x, o.cw, o.n, o.first, o.n, o.y);
  b.template grouped_linear_weight_grad<typename P::Weight>(o.x, o.x, o.yt, o.n, o.first, o.n);
};

template <class B, class P>
concept SupportsRmsNorm = requires(B& b, archetype::Operands<P>& o) {
  b.rms_norm(o.xt, o.ct, o.scalar, o.y, o.t);
  b.rms_norm(o.x, o.ct, o.scalar, o.y, o.t);
  b.rms_norm_backward(o.xt, o.xt, o.ct, o.ct, o.yt, o.t, o.write);
  b.rms_norm_backward(o.x, o.x, o.ct, o.ct, o.y, o.t, o.write);
  b.rms_norm_backward(o.xt, o.x, o.ct, o.ct, o.yt, o.t, o.write);
};

template <class B, class P>
concept SupportsRotation = requires(B& b, archetype::Operands<P>& o) {
  b.rotate(o.y, o.n, o.n, o.rows, o.ct, o.ct, 1);
};

template <class B, class P>
concept SupportsSwiglu = requires(B& b, archetype::Operands<P>& o) {
  b.swiglu(o.x, o.y);
  b.swiglu_backward(o.x, o.x, o.y);
};

/// y += x for the residual stream.
template <class B, class P>
concept SupportsAddition = requires(B& b, archetype::Operands<P>& o) {
  b.add(o.xt, o.yt);
};

template <class B, class P>
concept SupportsEmbedding = requires(B& b, archetype::Operands<P>& o) {
  b.embed(o.xt, o.rows, o.yt);
  b.embed_backward(o.xt, o.rows, o.yt);
};

/// Causal attention in the expanded form.
template <class B, class P>
concept SupportsAttention = requires(B& b, archetype::Operands<P>& o) {
  b.template reserve_attention<typename P::Exact>(o.shape, o.n);
  b.attention(o.shape, o.scalar, o.spans, o.x, o.x, o.x, o.y, o.statistics);
  b.attention_backward(o.shape, o.scalar, o.spans, o.x, o.x, o.x, o.x, o.statistics, o.x, o.y, o.y, o.y);
};

/// Attention in the absorbed form, over the latent cache.
template <class B, class P>
concept SupportsLatentAttention = requires(B& b, archetype::Operands<P>& o) {
  b.latent_attention(o.n, o.n, o.scalar, o.spans, o.xt, o.x, o.yt);
};

/// Scores, choice of experts, gates.
template <class B, class P>
concept SupportsRouting = requires(B& b, archetype::Operands<P>& o) {
  b.route(o.rule, o.xt, o.ct, o.yt, o.chosen, o.yt);
  b.route_backward(o.rule, o.xt, o.experts, o.xt, o.xt, o.yt);
};

template <class B, class P>
concept SupportsBalanceLoss = requires(B& b, archetype::Operands<P>& o) {
  b.balance_loss(o.sequences, o.xt, o.experts, o.weight, o.t, o.yt);
};

/// Carrying rows to experts and their weighted sums back.
template <class B, class P>
concept SupportsDispatch = requires(B& b, archetype::Operands<P>& o) {
  b.gather(o.x, o.rows, o.y);
  b.combine(o.x, o.experts, o.xt, o.yt);
  b.combine_backward(o.xt, o.x, o.experts, o.xt, o.y, o.yt);
};

template <class B, class P>
concept SupportsCrossEntropy = requires(B& b, archetype::Operands<P>& o) {
  b.cross_entropy(o.yt, o.rows, o.scalar, o.t);
};

/// What optimizer steps need of flat buffers.
template <class B, class P>
concept SupportsUpdate = requires(B& b, archetype::Operands<P>& o) {
  b.adamw(o.t, o.ct, o.moment, o.moment, o.n, o.constants);
  { b.sum_of_squares(o.ct, o.n) } -> std::same_as<double>;
};

/// What dense layers need.
template <class B, class P>
concept SupportsDenseLayers =
    HasPackedWeights<B, P> && HasWidePacking<B, P> && HasF8Rows<B, P> && SupportsLinear<B, P> &&
    SupportsRmsNorm<B, P> && SupportsRotation<B, P> && SupportsSwiglu<B, P> && SupportsAddition<B, P> &&
    SupportsEmbedding<B, P> && SupportsAttention<B, P> && SupportsLatentAttention<B, P>;

/// What layers with experts need beside that.
template <class B, class P>
concept SupportsExperts = SupportsGroupedLinear<B, P> && SupportsRouting<B, P> && SupportsBalanceLoss<B, P> &&
    SupportsDispatch<B, P>;

/// A complete backend: builds, trains and runs every model in precision P.
template <class B, class P = Fp32>
concept Backend = HasName<B> && HasParallel<B> && SupportsDenseLayers<B, P> && SupportsExperts<B, P> &&
    SupportsCrossEntropy<B, P> && SupportsUpdate<B, P>;

}  // namespace aeth
