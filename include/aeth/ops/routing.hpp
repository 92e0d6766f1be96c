/// Choosing experts for tokens and carrying rows to experts and back.
///
/// legend   T tokens · E experts · K per token · D width
/// source   DeepSeek-V3, arXiv:2412.19437, eq. 12-16; DeepSeek-V2, arXiv:2405.04434, §2.2
#pragma once

#include <concepts>
#include <cstdint>

#include "aeth/backend/types.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"

namespace aeth::ops {

/// scores = softmax or sigmoid of logits; the K experts with the largest scores + bias (excluded groups
/// never), in ascending order; gates from the unbiased scores.
template <class B, class T>
void route(B& backend, RoutingRule const& rule, MatrixView<T> logits_te, T const* bias,
           MatrixView<T> scores_te, MatrixView<std::int32_t> experts_tk, MatrixView<T> gates_tk) {
  static_assert(
      std::floating_point<T>,
      "aeth: route needs logits, scores and gates in the exact type of a precision policy, float or "
      "double: rounded scores would change which experts are chosen");
  expect<ShapeError>(logits_te.cols == rule.experts && experts_tk.cols == rule.top_k &&
                         rule.experts <= RoutingRule::max_experts,
                     "route: ", logits_te.cols, " logits per token for ", rule.experts, " experts (at most ",
                     RoutingRule::max_experts, ")");
  expect<ShapeError>(rule.groups > 0 && rule.top_k <= rule.top_groups * (rule.experts / rule.groups),
                     "route: ", rule.top_k, " experts per token from ", rule.top_groups, " of ", rule.groups,
                     " groups of ", rule.experts, " experts together; the kept groups have too few");
  backend.route(rule, as_const(logits_te), bias, scores_te, experts_tk, gates_tk);
}

/// d_logits from d_gates and, unless empty, a direct gradient of the scores.
template <class B, class T>
void route_backward(B& backend, RoutingRule const& rule, MatrixView<T> scores_te,
                    MatrixView<std::int32_t> experts_tk, MatrixView<T> d_gates_tk, MatrixView<T> d_scores_te,
                    MatrixView<T> d_logits_te) {
  expect<ShapeError>(d_logits_te.cols == rule.experts && d_gates_tk.cols == rule.top_k &&
                         rule.experts <= RoutingRule::max_experts,
                     "route_backward: d_logits has ", d_logits_te.cols, " columns for ", rule.experts,
                     " experts (at most ", RoutingRule::max_experts, ")");
  backend.route_backward(rule, as_const(scores_te), as_const(experts_tk), as_const(d_gates_tk),
                         as_const(d_scores_te), d_logits_te);
}

/// y[i] = x[rows[i]]
template <class B, class X>
void gather(B& backend, MatrixView<X> x, VectorView<std::int32_t const> rows, MatrixView<X> y) {
  expect<ShapeError>(rows.size == y.rows && x.cols == y.cols, "gather: ", rows.size, " rows wanted, y is [",
                     y.rows, ",", y.cols, "]");
  backend.gather(as_const(x), rows.data, y);
}

/// y[t] += Σ_k gates[t,k] · expert_rows[slots[t,k]], k ascending; with empty gates each row counts once.
template <class B, class X, class T>
void combine(B& backend, MatrixView<X> expert_rows, MatrixView<std::int32_t> slots_tk, MatrixView<T> gates_tk,
             MatrixView<T> y) {
  expect<ShapeError>(slots_tk.rows == y.rows && expert_rows.cols == y.cols, "combine: slots for ",
                     slots_tk.rows, " tokens, y is [", y.rows, ",", y.cols, "]");
  backend.combine(as_const(expert_rows), as_const(slots_tk), as_const(gates_tk), y);
}

/// Overwrites d_expert_rows [T·K,D] and d_gates [T,K].
template <class B, class X, class T>
void combine_backward(B& backend, MatrixView<T> dy, MatrixView<X> expert_rows,
                      MatrixView<std::int32_t> slots_tk, MatrixView<T> gates_tk, MatrixView<X> d_expert_rows,
                      MatrixView<T> d_gates_tk) {
  expect<ShapeError>(
      slots_tk.rows == dy.rows && expert_rows.cols == dy.cols && d_expert_rows.rows == expert_rows.rows,
      "combine_backward: slots for ", slots_tk.rows, " tokens, dy is [", dy.rows, ",", dy.cols, "]");
  backend.combine_backward(as_const(dy), as_const(expert_rows), as_const(slots_tk), as_const(gates_tk),
                           d_expert_rows, d_gates_tk);
}

}  // namespace aeth::ops
