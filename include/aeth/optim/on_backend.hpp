/// An optimizer whose updates run on a backend: the same bits, on all threads.
#pragma once

#include <concepts>
#include <span>
#include <type_traits>

#include "aeth/backend/concepts.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/concepts.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::optim {

/// Itself an optimizer, for `apply_step`. AdamW has a kernel in every backend; any other optimizer is run on
/// pieces of the range in parallel, which its concept allows. Holds references to both.
template <class O, HasParallel B>
class OnBackend {
 public:
  using Options = typename O::Options;
  static constexpr int moments = O::moments;

  OnBackend(O const& optimizer, B& backend) : optimizer_(optimizer), backend_(backend) {}

  [[nodiscard]] Options const& options() const noexcept { return optimizer_.options(); }

  template <std::floating_point T, MomentType<T> M>
    requires HasUpdate<O, T, M>
  void update(std::span<T> weights, std::span<T const> gradients, OptimizerState<T, M> const& state,
              ParameterRange range, UpdateStep const& step) const {
    Index const size = range.end - range.begin;
    if constexpr (std::is_same_v<O, AdamW>) {
      backend_.adamw(weights.data() + range.begin, gradients.data() + range.begin,
                     state.first.data() + range.begin, state.second.data() + range.begin, size,
                     adamw_factors<T>(options(), step, range.decay));
    } else {
      constexpr Index piece = 16384;
      backend_.parallel(ceil_div(size, piece), [&](Index i, int) {
        Index const begin = range.begin + i * piece;
        optimizer_.update(weights, gradients, state, {begin, min(begin + piece, range.end), range.decay},
                          step);
      });
    }
  }

 private:
  O const& optimizer_;
  B& backend_;
};

}  // namespace aeth::optim
