/// The mixture-of-experts layer: router, dispatch, experts, combine, and the shared experts beside them.
///
/// legend   T tokens · D width · E experts · K per token · F expert width
/// source   DeepSeek-V3, arXiv:2412.19437, §2.1.2, eq. 12; DeepSeekMoE, arXiv:2401.06066
#pragma once

#include <string>

#include "aeth/config/model_config.hpp"
#include "aeth/nn/ffn.hpp"
#include "aeth/nn/moe/dispatch.hpp"
#include "aeth/nn/moe/experts.hpp"
#include "aeth/nn/moe/router.hpp"
#include "aeth/ops/balance_loss.hpp"

namespace aeth::nn {

/// What the balance loss of a pass needs; weight 0 switches it off.
struct BalanceTerm {
  double weight = 0.0;  ///< alpha, already divided by the number of sequences of the whole batch
  VectorView<Index const> sequences{};  ///< [B+1] row offsets of the sequences of this pass
};

/// What forward leaves for backward, and what both work with.
template <class P>
struct MoeContext {
  using A = typename P::Activation;
  RouterContext<P> router;
  Dispatch dispatch;
  MatrixView<A> expert_in, expert_out;  ///< [T·K,D] in expert order
  FfnContext<P> experts, shared;
};

/// y_t = Shared(x_t) + Σ_k gate_{t,k} · Expert_k(x_t)
///
/// shapes   x [T,D] → y [T,D]
/// types    the sum over experts in P::Exact, k ascending by expert index
/// cost     6·T·D·F·(K + shared) FLOP plus the router's 2·T·D·E
template <MoeConfig C, int D, class P, class B>
class Moe {
 public:
  using A = typename P::Activation;
  using T = typename P::Exact;
  using Context = MoeContext<P>;

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    router_.for_each_parameter(name + ".gate", visit);
    experts_.for_each_parameter(name + ".experts", visit);
    if constexpr (C.shared > 0) shared_.for_each_parameter(name + ".shared_experts", visit);
  }
  template <class Visit>
  void for_each_bias(std::string const& name, Visit&& visit) {
    router_.for_each_bias(name + ".gate", visit);
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    router_.for_each_packed(visit);
    experts_.for_each_packed(visit);
    if constexpr (C.shared > 0) shared_.for_each_packed(visit);
  }

  void reserve(Arena& arena, Index tokens, Context& c, Hold hold = Hold::all) const {
    if (takes(hold, false)) {
      router_.reserve(arena, tokens, c.router);
      c.dispatch.reserve(arena, tokens, C.top_k, C.experts);
    }
    if (takes(hold, P::recomputes)) c.expert_in = arena.matrix<A>(tokens * C.top_k, D);
    if (takes(hold, false)) c.expert_out = arena.matrix<A>(tokens * C.top_k, D);
    experts_.reserve(arena, tokens * C.top_k, c.experts, hold);
    if constexpr (C.shared > 0) shared_.reserve(arena, tokens, c.shared, hold);
  }

  void forward(B& backend, MatrixView<A> x, MatrixView<T> y, Context& c, Arena& arena) const {
    router_.forward(backend, x, c.router, arena);
    c.dispatch.assign(c.router.experts);
    ops::gather(backend, x, c.dispatch.token, c.expert_in);
    experts_.forward(backend, c.expert_in, c.dispatch, c.expert_out, c.experts);
    shared_forward(backend, x, y, c);
    ops::combine(backend, c.expert_out, c.dispatch.slots, c.router.gates, y);
  }

  /// dx is overwritten, weight gradients accumulate; balance_loss [B] receives the balance loss of each
  /// sequence.
  void backward(B& backend, MatrixView<T> dy, MatrixView<A> x, MatrixView<T> dx, BalanceTerm const& balance,
                T* balance_loss, Context& c, Arena& arena) const {
    ArenaScope const scope(arena);
    if constexpr (P::recomputes) ops::gather(backend, x, c.dispatch.token, c.expert_in);
    auto const d_expert_out = arena.matrix<A>(c.expert_out.rows, D);
    auto const d_expert_in = arena.matrix<A>(c.expert_in.rows, D);
    auto const d_gates = arena.matrix<T>(x.rows, C.top_k);
    MatrixView<T> d_scores{};
    if (balance.weight != 0.0) {
      d_scores = arena.matrix<T>(x.rows, C.experts);
      ops::balance_loss(backend, balance.sequences, c.router.scores, c.router.experts, balance.weight,
                        balance_loss, d_scores);
    }
    if constexpr (C.shared > 0)
      shared_.backward(backend, dy, x, dx, Write::overwrite, c.shared, arena);
    else
      clear(dx);
    ops::combine_backward(backend, dy, c.expert_out, c.dispatch.slots, c.router.gates, d_expert_out, d_gates);
    experts_.backward(backend, d_expert_out, c.expert_in, c.dispatch, d_expert_in, c.experts, arena);
    ops::combine(backend, d_expert_in, c.dispatch.slots, MatrixView<T>{}, dx);
    router_.backward(backend, d_gates, d_scores, x, dx, c.router, arena);
  }

  void update_bias(VectorView<std::int64_t const> load, double rate) { router_.update_bias(load, rate); }

 private:
  void shared_forward(B& backend, MatrixView<A> x, MatrixView<T> y, Context& c) const {
    if constexpr (C.shared > 0)
      shared_.forward(backend, x, y, c.shared);
    else
      clear(y);
  }
  static void clear(MatrixView<T> y) {
    for (Index t = 0; t < y.rows; ++t)
      for (Index j = 0; j < y.cols; ++j) y(t, j) = T(0);
  }

  Router<C, D, P, B> router_;
  Experts<C, D, P, B> experts_;
  Ffn<P, B> shared_{D, C.shared* C.hidden_dim};
};

}  // namespace aeth::nn
