/// The routed experts of a layer: E feed-forward networks, each over its own rows.
///
/// legend   S rows in expert order (T·K) · D width · F expert width · E experts
#pragma once

#include <string>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/nn/ffn.hpp"
#include "aeth/nn/moe/dispatch.hpp"
#include "aeth/ops/linear.hpp"

namespace aeth::nn {

/// Weights of one expert lie as gate, up, down; experts one after another. Products run over all experts at
/// once.
///
/// shapes   x [S,D], S = Σ loads → y [S,D]
/// cost     6·S·D·F FLOP forward, twice that backward, no padding rows
template <MoeConfig C, int D, class P, class B>
class Experts {
 public:
  using A = typename P::Activation;
  using T = typename P::Exact;
  using W = typename P::Weight;
  using Context = FfnContext<P>;

  Experts() {
    for (Expert& e : experts_) {
      e.gate.rows = e.up.rows = e.down.cols = C.hidden_dim;
      e.gate.cols = e.up.cols = e.down.rows = D;
    }
  }

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    for (std::size_t e = 0; e < experts_.size(); ++e) {
      std::string const expert = name + '.' + std::to_string(e);
      visit(expert + ".gate_proj.weight", experts_[e].gate);
      visit(expert + ".up_proj.weight", experts_[e].up);
      visit(expert + ".down_proj.weight", experts_[e].down);
    }
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    packed_gate_up_.visit_from(experts_[0].gate, visit);
    packed_down_.visit_from(experts_[0].down, visit);
  }

  void reserve(Arena& arena, Index rows, Context& c, Hold hold = Hold::all) const {
    c.reserve(arena, rows, C.hidden_dim, hold);
  }

  void forward(B& backend, MatrixView<A> x, Dispatch const& dispatch, MatrixView<A> y, Context& c) const {
    grouped(backend, x, packed_gate_up_.forward, dispatch, c.gate_up);
    ops::swiglu(backend, c.gate_up, c.hidden);
    grouped(backend, c.hidden, packed_down_.forward, dispatch, y);
    c.keep(backend);
  }

  /// dx is overwritten, weight gradients accumulate; an expert without tokens keeps its gradient.
  void backward(B& backend, MatrixView<A> dy, MatrixView<A> x, Dispatch const& dispatch, MatrixView<A> dx,
                Context& c, Arena& arena) const {
    ArenaScope const scope(arena);
    c.remake(backend);
    Expert const& e = experts_[0];
    auto const d_hidden = arena.matrix<A>(x.rows, C.hidden_dim);
    auto const d_gate_up = arena.matrix<A>(x.rows, 2 * C.hidden_dim);
    ops::grouped_linear_weight_grad<W>(backend, dy, c.hidden, e.down.gradient_matrix(), expert_size,
                                       dispatch.first);
    grouped(backend, dy, packed_down_.backward, dispatch, d_hidden);
    ops::swiglu_backward(backend, d_hidden, c.gate_up, d_gate_up);
    ops::grouped_linear_weight_grad<W>(backend, d_gate_up, x,
                                       MatrixView<T>(e.gate.gradient, 2 * C.hidden_dim, D), expert_size,
                                       dispatch.first);
    grouped(backend, d_gate_up, packed_gate_up_.backward, dispatch, dx);
  }

 private:
  static void grouped(B& backend, MatrixView<A> x, PackedWeights<T, W> const& w, Dispatch const& dispatch,
                      MatrixView<A> y) {
    ops::grouped_linear(backend, x, w.data, w.stride, dispatch.first, y);
  }

  struct Expert {
    Parameter<T> gate{}, up{}, down{};
  };
  static constexpr Index expert_size = Index{3} * D * C.hidden_dim;

  std::vector<Expert> experts_{static_cast<std::size_t>(C.experts)};
  PackedPair<T, W> packed_gate_up_{2 * C.hidden_dim, D, C.experts, expert_size};
  PackedPair<T, W> packed_down_{D, C.hidden_dim, C.experts, expert_size};
};

}  // namespace aeth::nn
