/// One named weight tensor of a layer: where it lies in the model's flat buffers.
#pragma once

#include "aeth/core/math.hpp"
#include "aeth/core/view.hpp"

namespace aeth::nn {

/// What a tensor is for; optimizers and initialisation treat kinds differently.
enum class ParameterKind {
  matrix,     ///< weight-decayed, drawn from a normal distribution
  embedding,  ///< rows of the vocabulary; drawn, and decayed like a matrix as the papers say nothing else
  head,    ///< from the last state to the vocabulary; a matrix to all but optimizers that take matrices whole
  router,  ///< a matrix that is never rounded: routing stays exact under every precision policy
  norm,    ///< gain of an RMSNorm: starts at 1, not decayed
};

/// A [rows, cols] tensor, row-major. The model assigns `offset` and the pointers; all flat buffers share the
/// offset.
template <class T>
struct Parameter {
  Index rows = 0;
  Index cols = 0;
  ParameterKind kind = ParameterKind::matrix;
  Index offset = 0;           ///< in elements
  T const* weight = nullptr;  ///< as the forward pass sees it
  T* gradient = nullptr;      ///< accumulated by backward; null in a model that does not train

  [[nodiscard]] constexpr Index size() const { return rows * cols; }
  [[nodiscard]] MatrixView<T const> matrix() const { return {weight, rows, cols}; }
  [[nodiscard]] MatrixView<T> gradient_matrix() const { return {gradient, rows, cols}; }
};

/// Which of a context's tensors to take from an arena.
enum class Hold {
  all,     ///< whatever one pass needs, for inference
  kept,    ///< what forward leaves for backward
  remade,  ///< what each of them makes anew and has only while it runs
};
/// Whether to take a tensor that is or is not made anew.
[[nodiscard]] constexpr bool takes(Hold hold, bool remade) {
  return hold == Hold::all || (hold == Hold::remade) == remade;
}

/// Packs rows of a matrix as its FP8 codes represent them.
template <class B, class T, class W>
concept HasF8Rounding = requires(B& b, MatrixView<T const> w, Index row, W* packed) {
  b.pack_from_f8(w, row, row, packed, true);
};

/// The panel form of one or several equal weight matrices, which matrix products read. Owned by the model,
/// refreshed by `Model::prepare` whenever weights have changed. W is the type in which products take their operands.
template <class T, class W>
struct PackedWeights {
  Index out = 0;
  Index in = 0;
  Index copies = 1;                     ///< matrices, e.g. one per expert
  Index source_stride = 0;              ///< elements from one source matrix to the next
  Parameter<T> const* first = nullptr;  ///< the first source starts at first->weight + source_offset
  Index source_offset = 0;
  bool transposed = false;  ///< sources are [in, out] and not [out, in]
  bool training = false;    ///< only models with gradients have it
  bool from_f8 = false;     ///< values are those of the codes that products in FP8 would take
  W* data = nullptr;
  Index stride = 0;  ///< elements from one packed matrix to the next

  /// Elements of the flat buffer from which on `copy` depends on nothing.
  [[nodiscard]] Index end_of(Index copy) const {
    return first->offset + source_offset + copy * source_stride + out * in;
  }
  /// Brings one copy up to date.
  template <class B>
  void pack(B& backend, Index copy) const {
    T const* const from = first->weight + source_offset + copy * source_stride;
    W* const to = data + copy * stride;
    if constexpr (HasF8Rounding<B, T, W>)
      if (from_f8)
        return backend.pack_from_f8(first->matrix(), (source_offset + copy * source_stride) / first->cols,
                                    transposed ? in : out, to, transposed);
    if (transposed)
      backend.pack_transposed(MatrixView<T const>(from, in, out), to);
    else
      backend.pack_weights(MatrixView<T const>(from, out, in), to);
  }
};

/// Both packed forms of one or several equal matrices [out, in]: y = x · wᵀ reads the first, dx = dy · w the second.
template <class T, class W>
struct PackedPair {
  PackedWeights<T, W> forward, backward;

  PackedPair(Index out, Index in, Index copies = 1, Index source_stride = 0)
      : forward{out, in, copies, source_stride}, backward{in, out, copies, source_stride} {
    backward.transposed = backward.training = true;
  }
  template <class Visit>
  void visit_from(Parameter<T> const& first, Visit&& visit) {
    forward.first = backward.first = &first;
    visit(forward);
    visit(backward);
  }
};

}  // namespace aeth::nn
