/// An optimizer whose updates run on a backend: the same bits, on all threads.
#pragma once

#include <concepts>
#include <span>
#include <type_traits>

#include "aeth/backend/concepts.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/concepts.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::optim {

/// Itself an optimizer, for `apply_step`. AdamW has a kernel in every backend; any other optimizer is run on
/// pieces of the range in parallel, which its concept allows. One that takes matrices whole gets them one after the
/// other, each on all threads, with scratch from an arena. Holds references to all.
template <class O, HasParallel B>
class OnBackend {
 public:
  using Options = typename O::Options;
  static constexpr int moments = O::moments;

  OnBackend(O const& optimizer, B& backend) requires(!TakesMatrices<O>)
      : optimizer_(optimizer), backend_(backend) {}

  OnBackend(O const& optimizer, B& backend, Arena& scratch)
      : optimizer_(optimizer), backend_(backend), scratch_(&scratch) {}

  [[nodiscard]] Options const& options() const noexcept { return optimizer_.options(); }

  template <std::floating_point T, MomentType<T> M>
    requires OptimizerOn<O, B, T, M>
  void update(std::span<T> weights, std::span<T const> gradients, OptimizerState<T, M> const& state,
              ParameterRange range, UpdateStep const& step) const {
    Index const size = range.end - range.begin;
    if constexpr (TakesMatrices<O>) {
      using Elementwise = std::remove_cvref_t<decltype(optimizer_.elementwise())>;
      if (range.is_matrix())
        optimizer_.update_matrix(backend_, weights, gradients, state, range, step, *scratch_);
      else
        OnBackend<Elementwise, B>(optimizer_.elementwise(), backend_)
            .update(weights, gradients, state, range, step);
    } else if constexpr (std::is_same_v<O, AdamW>) {
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
  Arena* scratch_ = nullptr;  ///< for matrices only
};

}  // namespace aeth::optim
