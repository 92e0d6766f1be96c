/// What the memory of a training step depends on beside the model's configuration: the sizes of numbers, the batch.
#pragma once

#include "aeth/core/math.hpp"

namespace aeth {

/// Bytes of one number in each of its roles; `training_types` knows those of a precision policy.
struct TrainingTypes {
  Index master = 4;  ///< weights as the optimizer sees them, gradients
  Index moment = 4;  ///< one moment of the optimizer
  /// Both copies of the matrices that products read, and operands of products; with f8 those of head, MTP's projection
  /// and absorbed attention only.
  Index packed = 4;
  Index packed_group = 1;   ///< numbers of the copy that lie together: the inner extent is rounded up to it
  Index activation = 4;     ///< inputs and outputs of products, and their gradients
  Index exact = 4;          ///< residual stream, norms, router, logits
  Index moments = 2;        ///< of the optimizer, per weight
  bool recomputes = false;  ///< backward makes anew what is cheap
  bool f8 = false;          ///< layers' products take FP8 with scales, and SwiGLU's inputs are kept so
};

/// The types of a precision policy of `numeric/precision.hpp`.
template <class P>
[[nodiscard]] constexpr TrainingTypes training_types() noexcept {
  constexpr Index packed = sizeof(typename P::WideWeight);
  return {.master = sizeof(typename P::Master),
          .moment = sizeof(typename P::Moment),
          .packed = packed,
          .packed_group = packed == 2 ? 2 : 1,
          .activation = sizeof(typename P::Activation),
          .exact = sizeof(typename P::Exact),
          .recomputes = P::recomputes,
          .f8 = sizeof(typename P::Weight) == 1};
}

/// What goes through a model at once.
struct TrainingBatch {
  Index rows = 16;
  Index length = 256;    ///< tokens of a row
  Index micro_rows = 0;  ///< rows at once; 0 = all

  [[nodiscard]] constexpr Index rows_at_once() const noexcept { return micro_rows > 0 ? micro_rows : rows; }
};

}  // namespace aeth
