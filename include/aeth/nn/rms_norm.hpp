/// Root-mean-square normalisation with a learned gain.
#pragma once

#include <string>

#include "aeth/nn/parameter.hpp"
#include "aeth/ops/rms_norm.hpp"

namespace aeth::nn {

/// Over the last axis: y = x · gain / sqrt(mean(x²) + eps).
///
/// shapes   x [T,D], gain [D] → y [T,D]; inverse [T] = 1 / sqrt(mean(x²) + eps)
/// units    eps is added to a mean square, so it has the unit of x²
/// saves    inverse; backward is handed x again, accumulates d_gain, overwrites or continues dx
/// source   Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4; its places in the block: DeepSeek-V3,
///          arXiv:2412.19437, §2.1
template <class P, class B>
class RmsNorm {
 public:
  using T = typename P::Exact;

  RmsNorm(Index dim, double eps) : eps_(static_cast<T>(eps)) {
    gain_.rows = 1;
    gain_.cols = dim;
    gain_.kind = ParameterKind::norm;
  }

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    visit(name + ".weight", gain_);
  }

  template <class X, class Y>
  void forward(B& backend, MatrixView<X> x, MatrixView<Y> y, T* inverse) const {
    ops::rms_norm(backend, x, gain_.weight, eps_, y, inverse);
  }

  template <class DY, class X, class DX>
  void backward(B& backend, MatrixView<DY> dy, MatrixView<X> x, T const* inverse, MatrixView<DX> dx,
                Write write) const {
    ops::rms_norm_backward(backend, dy, x, gain_.weight, inverse, dx, gain_.gradient, write);
  }

 private:
  Parameter<T> gain_{};
  T eps_;
};

}  // namespace aeth::nn
