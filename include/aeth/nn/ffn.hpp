/// The dense feed-forward layer: SwiGLU between two projections up and one down.
///
/// legend   T tokens · D width · F hidden width
/// source   Shazeer 2020, arXiv:2002.05202; names as in the released weights
#pragma once

#include <string>
#include <type_traits>

#include "aeth/core/arena.hpp"
#include "aeth/nn/parameter.hpp"
#include "aeth/numeric/f8_rows.hpp"
#include "aeth/ops/elementwise.hpp"
#include "aeth/ops/linear.hpp"

namespace aeth::nn {

/// What forward leaves for backward, and what both work with.
template <class P>
struct FfnContext {
  using A = typename P::Activation;
  static constexpr bool is_narrowed = !std::is_same_v<typename P::Kept, A>;

  MatrixView<A> gate_up;  ///< [T,2F]
  MatrixView<A> hidden;   ///< [T,F]
  F8Rows narrowed;        ///< gate_up, if it is kept in FP8

  void reserve(Arena& arena, Index tokens, Index hidden_dim, Hold hold = Hold::all) {
    if (takes(hold, is_narrowed)) gate_up = arena.matrix<A>(tokens, 2 * hidden_dim);
    if (takes(hold, P::recomputes)) hidden = arena.matrix<A>(tokens, hidden_dim);
    if constexpr (is_narrowed) {
      if (hold == Hold::all) narrowed = {};
      if (hold == Hold::kept) narrowed = F8Rows::in(arena, tokens, 2 * hidden_dim);
    }
  }

  /// The end of forward and the begin of backward.
  template <class B>
  void keep(B& backend) const {
    if constexpr (is_narrowed)
      if (narrowed.codes) backend.keep_f8(as_const(gate_up), narrowed);
  }
  template <class B>
  void remake(B& backend) const {
    if constexpr (is_narrowed) backend.restore_f8(narrowed, gate_up);
    if constexpr (P::recomputes) ops::swiglu(backend, gate_up, hidden);
  }
};

/// y = down( silu(gate(x)) · up(x) ). Gate and up lie one after the other in the flat buffer, so that one
/// product makes both. The layer's width is a run-time number: it bounds loops only.
///
/// shapes   x [T,D] → y [T,D]
/// cost     6·T·D·F FLOP forward, twice that backward
template <class P, class B>
class Ffn {
 public:
  using A = typename P::Activation;
  using T = typename P::Exact;
  using W = typename P::Weight;
  using Context = FfnContext<P>;

  Ffn(Index dim, Index hidden_dim)
      : dim_(dim),
        hidden_dim_(hidden_dim),
        packed_gate_up_(2 * hidden_dim, dim),
        packed_down_(dim, hidden_dim) {
    gate_.rows = up_.rows = down_.cols = hidden_dim;
    gate_.cols = up_.cols = down_.rows = dim;
  }

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    visit(name + ".gate_proj.weight", gate_);
    visit(name + ".up_proj.weight", up_);
    visit(name + ".down_proj.weight", down_);
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    packed_gate_up_.visit_from(gate_, visit);
    packed_down_.visit_from(down_, visit);
  }

  void reserve(Arena& arena, Index tokens, Context& c, Hold hold = Hold::all) const {
    c.reserve(arena, tokens, hidden_dim_, hold);
  }

  void forward(B& backend, MatrixView<A> x, MatrixView<T> y, Context& c) const {
    ops::linear(backend, x, packed_gate_up_.forward.data, c.gate_up);
    ops::swiglu(backend, c.gate_up, c.hidden);
    ops::linear(backend, c.hidden, packed_down_.forward.data, y);
    c.keep(backend);
  }

  /// dx overwritten or continued, weight gradients accumulate.
  void backward(B& backend, MatrixView<T> dy, MatrixView<A> x, MatrixView<T> dx, Write write, Context& c,
                Arena& arena) const {
    ArenaScope const scope(arena);
    c.remake(backend);
    auto const d_hidden = arena.matrix<A>(x.rows, hidden_dim_);
    auto const d_gate_up = arena.matrix<A>(x.rows, 2 * hidden_dim_);
    ops::linear_weight_grad<W>(backend, dy, c.hidden, down_.gradient_matrix());
    ops::linear(backend, dy, packed_down_.backward.data, d_hidden);
    ops::swiglu_backward(backend, d_hidden, c.gate_up, d_gate_up);
    ops::linear_weight_grad<W>(backend, d_gate_up, x, MatrixView<T>(gate_.gradient, 2 * hidden_dim_, dim_));
    ops::linear(backend, d_gate_up, packed_gate_up_.backward.data, dx, write);
  }

 private:
  Index dim_, hidden_dim_;
  Parameter<T> gate_{}, up_{}, down_{};
  PackedPair<T, W> packed_gate_up_, packed_down_;
};

}  // namespace aeth::nn
