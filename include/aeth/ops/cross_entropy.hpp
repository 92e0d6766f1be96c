/// Cross entropy of logits against token ids, with its gradient in place.
#pragma once

#include <cstdint>

#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"

namespace aeth::ops {

/// loss[t] = log Σ_v e^logits[t,v] − logits[t,target]. Logits are overwritten: by scale · (softmax −
/// one-hot), or by nothing of use if scale is 0. Rows whose target is negative have loss 0 and gradient 0; the others must be
/// below V.
template <class B, class T>
void cross_entropy(B& backend, MatrixView<T> logits_tv, VectorView<std::int32_t const> targets, T scale,
                   T* loss) {
  expect<ShapeError>(targets.size == logits_tv.rows, "cross_entropy: ", targets.size, " targets for ",
                     logits_tv.rows, " rows of logits");
  backend.cross_entropy(logits_tv, targets.data, scale, loss);
}

}  // namespace aeth::ops
