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

  Linear(Index out, Index in, ParameterKind kind = ParameterKind::matrix) {
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
    packed_.out = weight_.rows;
    packed_.in = weight_.cols;
    packed_.first = &weight_;
    visit(packed_);
  }

  template <class X, class Y>
  void forward(B& backend, MatrixView<X> x, MatrixView<Y> y) const {
    ops::linear(backend, x, packed(), y);
  }

  /// dw accumulates; dx is overwritten or continued as told.
  template <class DY, class X, class DX>
  void backward(B& backend, MatrixView<DY> dy, MatrixView<X> x, MatrixView<DX> dx, Write write) const {
    ops::linear_weight_grad<W>(backend, dy, x, weight_.gradient_matrix());
    ops::linear_input_grad<W>(backend, dy, weight_.matrix(), dx, write);
  }

  [[nodiscard]] Parameter<T> const& weight() const { return weight_; }
  [[nodiscard]] W const* packed() const { return packed_.data; }
  [[nodiscard]] PackedWeights<T, W> const& packed_weights() const { return packed_; }

 private:
  Parameter<T> weight_{};
  PackedWeights<T, W> packed_{};
};

}  // namespace aeth::nn
