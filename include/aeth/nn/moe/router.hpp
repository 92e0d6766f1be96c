/// The router of a mixture-of-experts layer: which experts a token goes to and with what weight.
///
/// legend   T tokens · D width · E experts · K per token · G groups
/// source   DeepSeek-V3, arXiv:2412.19437, §2.1.2 eq. 12-16; DeepSeek-V2, arXiv:2405.04434, §2.2
#pragma once

#include <cstdint>
#include <string>

#include "aeth/config/model_config.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/nn/linear.hpp"
#include "aeth/ops/routing.hpp"

namespace aeth::nn {

/// The run-time rule of a configuration.
///
/// With softmax scores, normalised gates are not scaled: `MoEGate` of the V2 remote code does one or the
/// other.
[[nodiscard]] constexpr RoutingRule routing_rule(MoeConfig const& moe) {
  bool const softmax = moe.scoring == Scoring::softmax;
  bool const grouped = moe.selection != Selection::greedy;
  bool const normalize = moe.normalize_gates && (!softmax || moe.top_k > 1);
  return {.experts = moe.experts,
          .top_k = moe.top_k,
          .groups = grouped ? moe.groups : 1,
          .top_groups = grouped ? moe.top_groups : 1,
          .softmax = softmax,
          .group_by_top_two = moe.selection == Selection::bias_corrected,
          .normalize = normalize,
          .gate_scale = softmax && normalize ? 1.0 : moe.gate_scale};
}

/// Decisions for T tokens, kept for backward and for statistics.
template <class P>
struct RouterContext {
  using T = typename P::Exact;
  MatrixView<T> scores;              ///< [T,E] affinities before the selection bias
  MatrixView<std::int32_t> experts;  ///< [T,K] ascending
  MatrixView<T> gates;               ///< [T,K] final weights
};

/// Router weights and the selection bias. Weights, logits, scores and gates are in P::Exact; the input is the normed
/// activation, as in the reference code.
///
/// The bias only steers the choice: it has no gradient and is moved by `update_bias` after each optimizer
/// step.
template <MoeConfig C, int D, class P, class B>
class Router {
 public:
  using A = typename P::Activation;
  using T = typename P::Exact;
  using Context = RouterContext<P>;

  static constexpr RoutingRule rule = routing_rule(C);
  static constexpr bool has_bias = C.selection == Selection::bias_corrected;

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    weight_.for_each_parameter(name, visit);
  }
  /// visit(name, bias): the model gives each bias its place in a buffer of its own.
  template <class Visit>
  void for_each_bias(std::string const& name, Visit&& visit) {
    if constexpr (has_bias) visit(name + ".e_score_correction_bias", bias_);
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    weight_.for_each_packed(visit);
  }

  void reserve(Arena& arena, Index tokens, Context& c) const {
    c.scores = arena.matrix<T>(tokens, C.experts);
    c.experts = arena.matrix<std::int32_t>(tokens, C.top_k);
    c.gates = arena.matrix<T>(tokens, C.top_k);
  }

  void forward(B& backend, MatrixView<A> x, Context& c, Arena& arena) const {
    ArenaScope const scope(arena);
    auto const logits = arena.matrix<T>(x.rows, C.experts);
    weight_.forward(backend, x, logits);
    ops::route(backend, rule, logits, static_cast<T const*>(bias_.data), c.scores, c.experts, c.gates);
  }

  /// dx continues; d_scores may be empty.
  void backward(B& backend, MatrixView<T> d_gates, MatrixView<T> d_scores, MatrixView<A> x, MatrixView<T> dx,
                Context& c, Arena& arena) const {
    ArenaScope const scope(arena);
    auto const d_logits = arena.matrix<T>(x.rows, C.experts);
    ops::route_backward(backend, rule, c.scores, c.experts, d_gates, d_scores, d_logits);
    weight_.backward(backend, d_logits, x, dx, Write::accumulate);
  }

  /// b_i += rate · sign(mean load − load_i), from the counts of the whole batch.
  ///
  /// source   DeepSeek-V3 §2.1.2, "Auxiliary-Loss-Free Load Balancing"; Wang et al. 2024, arXiv:2408.15664,
  ///          algorithm 1
  void update_bias(VectorView<std::int64_t const> load, double rate) {
    if constexpr (has_bias) {
      std::int64_t total = 0;
      for (std::int64_t const count : load) total += count;
      for (Index i = 0; i < C.experts; ++i) {
        std::int64_t const excess = load[i] * C.experts - total;
        bias_[i] += static_cast<T>(excess < 0 ? rate : excess > 0 ? -rate : 0.0);
      }
    }
  }

 private:
  Linear<P, B, T> weight_{C.experts, D, ParameterKind::router};
  VectorView<T> bias_{nullptr, has_bias ? C.experts : 0};
};

}  // namespace aeth::nn
