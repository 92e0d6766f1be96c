/// What the memory of a training step depends on beside the model's configuration: the sizes of numbers, the batch.
#pragma once

#include "aeth/core/math.hpp"

namespace aeth {

/// Bytes of one number in each of its roles; `training_types` knows those of a precision policy.
struct TrainingTypes {
  Index master = 4;           ///< weights as the optimizer sees them, gradients, moments
  Index rounded = 0;          ///< a copy of all weights, rounded for the forward pass; 0 = none
  Index packed = 4;           ///< the copy of the matrices that products read
  Index packed_group = 1;     ///< numbers of the copy that lie together: the inner extent is rounded up to it
  bool packed_twice = false;  ///< a second copy, transposed, for the gradients of inputs
  Index activation = 4;       ///< inputs and outputs of products, and their gradients
  Index exact = 4;            ///< residual stream, norms, router, logits
  Index operand = 4;          ///< in which products compute: operands of another size are copied first
  Index moments = 2;          ///< of the optimizer, per weight
};

/// The types of a precision policy of `numeric/precision.hpp`. With narrow weights the model keeps a rounded copy in
/// the master type, from which the packed one is made in that type, and products widen their operands.
template <class P>
[[nodiscard]] constexpr TrainingTypes training_types() noexcept {
  constexpr Index master = sizeof(typename P::Master);
  return {.master = master,
          .rounded = sizeof(typename P::Weight) == sizeof(typename P::Master) ? 0 : master,
          .packed = master,
          .activation = sizeof(typename P::Activation),
          .exact = sizeof(typename P::Exact),
          .operand = master};
}

/// What goes through a model at once.
struct TrainingBatch {
  Index rows = 16;
  Index length = 256;    ///< tokens of a row
  Index micro_rows = 0;  ///< rows at once; 0 = all

  [[nodiscard]] constexpr Index rows_at_once() const noexcept { return micro_rows > 0 ? micro_rows : rows; }
};

}  // namespace aeth
