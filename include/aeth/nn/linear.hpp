/// A weight matrix without bias: y = x · wᵀ.
#pragma once

#include <string>

#include "aeth/nn/parameter.hpp"
#include "aeth/ops/linear.hpp"

namespace aeth::nn {

/// shapes   x [T,in], w [out,in] → y [T,out]
/// types    x, y: any storage; products of operands in W, sums in P::Accumulator, one chain over `in` per element
/// saves    nothing: backward is handed x again
/// cost     2·T·in·out FLOP forward, twice that backward
template <class P, class B, class W = typename P::Weight>
class Linear {
 public:
  using T = typename P::Master;

  Linear(Index out, Index in, ParameterKind kind = ParameterKind::matrix) : packed_(out, in) {
    weight_.rows = out;
    weight_.cols = in;
    weight_.kind = kind;
  }

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    visit(name + ".weight", weight_);
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    packed_.visit_from(weight_, visit);
  }

  template <class X, class Y>
  void forward(B& backend, MatrixView<X> x, MatrixView<Y> y) const {
    ops::linear(backend, x, packed(), y);
  }

  /// dw accumulates; dx is overwritten or continued as told.
  template <class DY, class X, class DX>
  void backward(B& backend, MatrixView<DY> dy, MatrixView<X> x, MatrixView<DX> dx, Write write) const {
    ops::linear_weight_grad<W>(backend, dy, x, weight_.gradient_matrix());
    ops::linear(backend, dy, packed_backward(), dx, write);
  }

  [[nodiscard]] Parameter<T> const& weight() const { return weight_; }
  [[nodiscard]] W const* packed() const { return packed_.forward.data; }
  /// For dx = dy · w; null in a model that does not train.
  [[nodiscard]] W const* packed_backward() const { return packed_.backward.data; }

 private:
  Parameter<T> weight_{};
  PackedPair<T, W> packed_;
};

}  // namespace aeth::nn
