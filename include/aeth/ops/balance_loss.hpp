/// The sequence-wise balance loss of the router, and its gradient.
///
/// legend   T tokens of one sequence · E experts · K per token
/// source   DeepSeek-V3, arXiv:2412.19437, eq. 17-20; with softmax scores it is V2's expert-level loss,
///          §2.2.3
#pragma once

#include <cstdint>

#include "aeth/backend/types.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"

namespace aeth::ops {

/// loss = weight · Σ_i f_i P_i per sequence, f_i = E/(K·T) · #{t : i chosen}, P_i = mean_t s_{i,t} / Σ_j
/// s_{j,t}. Gradients flow through P only: f is a count. At perfect balance the loss is `weight`.
///
/// sequences [B+1] row offsets; loss [B]; d_scores [T,E] is overwritten unless empty.
template <class B, class T>
void balance_loss(B& backend, VectorView<Index const> sequences, MatrixView<T> scores_te,
                  MatrixView<std::int32_t> experts_tk, double weight, T* loss, MatrixView<T> d_scores_te) {
  expect<ShapeError>(sequences.size >= 1 && sequences[sequences.size - 1] == scores_te.rows,
                     "balance_loss: sequences end at ", sequences[sequences.size - 1], ", scores have ",
                     scores_te.rows, " rows");
  expect<ShapeError>(scores_te.cols <= RoutingRule::max_experts, "balance_loss: scores for ", scores_te.cols,
                     " experts; at most ", RoutingRule::max_experts, " are possible");
  backend.balance_loss(sequences, as_const(scores_te), as_const(experts_tk), weight, loss, d_scores_te);
}

}  // namespace aeth::ops
