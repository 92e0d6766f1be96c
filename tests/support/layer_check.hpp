/// Holds one layer's backward pass against finite differences: its weights live here instead of in a model.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/nn/parameter.hpp"
#include "aeth/numeric/precision.hpp"
#include "support/finite_difference.hpp"
#include "support/tensor.hpp"

namespace aeth::test {

/// The flat buffers of one layer, as `Model` would lay them out, in double.
template <class Layer>
class LayerWeights {
 public:
  LayerWeights(Cpu& cpu, Layer& layer, std::uint64_t seed) : cpu_(cpu), layer_(layer) {
    Index offset = 0;
    layer_.for_each_parameter("layer", [&](std::string const& name, nn::Parameter<double>& p) {
      p.offset = offset;
      offset += p.size();
      names_.push_back({name, &p});
    });
    weights_ = Buffer<double>(offset);
    gradients_ = Buffer<double>(offset);
    for (auto& [name, p] : names_) {
      bool const norm = p->kind == nn::ParameterKind::norm;
      auto const values = random_tensor<double>(
          1, p->size(), ++seed, norm ? 0.3 : 1.0 / std::sqrt(static_cast<double>(p->cols)), norm ? 1.0 : 0.0);
      std::copy(values.values.begin(), values.values.end(), weights_.data() + p->offset);
      p->weight = weights_.data() + p->offset;
      p->gradient = gradients_.data() + p->offset;
    }
    if constexpr (requires { layer_.for_each_bias("", [](std::string const&, VectorView<double>&) {}); })
      layer_.for_each_bias("layer", [&](std::string const&, VectorView<double>& bias) {
        biases_.push_back(random_tensor<double>(1, bias.size, ++seed, 0.1));
        bias.data = biases_.back().data();
      });
    prepare();
  }

  /// After a weight has changed.
  void prepare() {
    if constexpr (requires { layer_.for_each_packed([](nn::PackedWeights<double, double>&) {}); }) {
      Index size = 0;
      layer_.for_each_packed([&](nn::PackedWeights<double, double>& w) {
        w.stride = Cpu::packed_size<double>(w.out, w.in);
        size += w.copies * w.stride;
      });
      if (packed_.empty()) packed_ = Buffer<double>(size);
      Index at = 0;
      layer_.for_each_packed([&](nn::PackedWeights<double, double>& w) {
        w.data = packed_.data() + at;
        at += w.copies * w.stride;
        for (Index copy = 0; copy < w.copies; ++copy) w.pack(cpu_, copy);
      });
    }
  }

  void clear_gradients() { gradients_.clear(); }

  template <class Loss>
  void check(GradientReport& report, Loss const& loss) {
    for (auto& [name, p] : names_) {
      std::vector<double> const analytic(p->gradient, p->gradient + p->size());
      report.check(name, {weights_.data() + p->offset, p->size()}, analytic, [&] {
        prepare();
        return loss();
      });
      prepare();
    }
  }

 private:
  Cpu& cpu_;
  Layer& layer_;
  std::vector<std::pair<std::string, nn::Parameter<double>*>> names_;
  Buffer<double> weights_, gradients_, packed_;
  std::deque<Tensor<double>> biases_;
};

/// Σ a · b: a loss whose gradient with respect to b is a.
inline double inner(Tensor<double> const& a, Tensor<double> const& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) sum += a.values[i] * b.values[i];
  return sum;
}

/// A layer that maps x [T,D] to y [T,D'] under the loss Σ seed · y.
///
/// forward(x, y, arena) computes y; backward(seed, x, dx, arena) overwrites dx and accumulates weight
/// gradients, after a forward. What the loss has beside Σ seed · y, forward returns.
template <class Layer, class Forward, class Backward>
void check_layer(std::string const& what, Cpu& cpu, Layer& layer, Tensor<double> x, Index out_cols,
                 std::uint64_t seed, Forward const& forward, Backward const& backward) {
  LayerWeights<Layer> weights(cpu, layer, seed * 1000);
  Tensor<double> const slope = random_tensor<double>(x.rows, out_cols, seed * 1000 + 900);
  Tensor<double> y(x.rows, out_cols), dx(x.rows, x.cols, 7.0);
  Arena arena;
  auto const loss = [&] {
    arena.release({});
    double const beside = forward(x.view(), y.view(), arena);
    return inner(slope, y) + beside;
  };
  GradientReport report(what);
  // Twice, so that gradients which should continue a sum and inputs which should be replaced are told apart.
  for (int round = 0; round < 2; ++round) {
    (void)loss();
    Tensor<double> d = slope;  // backward may use it up
    if (round == 0) weights.clear_gradients();
    backward(d.view(), x.view(), dx.view(), arena);
    if (round == 0) weights.clear_gradients();
  }
  report.check("x", x.flat(), dx.values, loss);
  weights.check(report, loss);
}

}  // namespace aeth::test
