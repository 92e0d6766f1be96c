/// The language-model loss: output head and cross entropy together, over blocks of rows, so that [T,V] never
/// exists.
///
/// legend   T tokens · D width · V vocabulary
#pragma once

#include <cstdint>

#include "aeth/core/arena.hpp"
#include "aeth/core/error.hpp"
#include "aeth/ops/cross_entropy.hpp"
#include "aeth/ops/linear.hpp"

namespace aeth::loss {

/// The output head as the loss sees it.
template <class T, class W>
struct HeadView {
  W const* packed = nullptr;           ///< the backend's form of the weight
  W const* packed_backward = nullptr;  ///< its form for dx = dy · w; unused when scale is 0
  MatrixView<T> gradient;              ///< [V,D], accumulated; its data is unused when scale is 0
};

template <class T, class W>
HeadView(W const*, W const*, MatrixView<T>) -> HeadView<T, W>;

/// Rows of logits held at once: about 2^22 numbers, a multiple of nothing in particular; results do not
/// depend on it.
[[nodiscard]] constexpr Index head_block_rows(Index vocab) {
  return max(min((Index{1} << 22) / vocab, Index{512}), Index{16});
}

/// loss[t] = cross entropy of normed[t] · Wᵀ against targets[t], 0 where the target is negative.
/// With scale ≠ 0 also d_normed (overwritten) and the head's gradient, both of scale · Σ_t loss[t].
///
/// shapes   normed [T,D], targets [T], loss [T], d_normed [T,D]
/// errors   DataError for a target that is no row of the head
template <class B, class X, class T, class W>
void language_model_loss(B& backend, HeadView<T, W> const& head, MatrixView<X> normed,
                         VectorView<std::int32_t const> targets, T scale, T* loss, MatrixView<T> d_normed,
                         Arena& arena) {
  Index const block = head_block_rows(head.gradient.rows);
  for (Index t = 0; t < targets.size; ++t)
    expect<DataError>(targets[t] < head.gradient.rows, "language model loss: target ", targets[t],
                      " of token ", t, " is not below the ", head.gradient.rows,
                      " rows of the head; the tokenizer and the model do not belong together");
  ArenaScope const scope(arena);
  auto const all_logits = arena.matrix<T>(min(block, normed.rows), head.gradient.rows);
  for (Index first = 0; first < normed.rows; first += block) {
    Index const rows = min(block, normed.rows - first);
    auto const logits = all_logits.row_slice(0, rows);
    auto const x = normed.row_slice(first, rows);
    ops::linear(backend, x, head.packed, logits);
    ops::cross_entropy(backend, logits, targets.slice(first, rows), scale, loss + first);
    if (scale == T(0)) continue;
    ops::linear_weight_grad<W>(backend, logits, x, head.gradient);
    ops::linear(backend, logits, head.packed_backward, d_normed.row_slice(first, rows));
  }
}

}  // namespace aeth::loss
