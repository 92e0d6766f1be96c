/// What an optimizer is: options, a number of moment buffers, and an update in which each element depends on
/// its own gradient and moments only. Ranges may be split anywhere, and `update` is called from several threads
/// at once, for ranges that do not overlap.
///
/// An optimizer may take matrices whole besides: it says `takes_matrices`, updates a range that is a matrix by
/// `update_matrix` on all of a backend's threads, and names the optimizer of all other ranges, `elementwise()`.
#pragma once

#include <concepts>
#include <span>
#include <string>

#include "aeth/core/arena.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::optim {

/// Options that name themselves: `describe` lists every value, so that a resumed run can be refused others.
template <class O>
concept HasOptions = requires(O const& o) {
  typename O::Options;
  { o.options() } -> std::same_as<typename O::Options const&>;
  { o.options().clip } -> std::convertible_to<double>;
  { describe(o.options()) } -> std::convertible_to<std::string>;
};

/// One or two moment buffers per weight.
template <class O>
concept HasMoments = requires {
  { O::moments } -> std::convertible_to<int>;
  requires O::moments == 1 || O::moments == 2;
};

/// For weights of type T and moments of type M.
template <class O, class T, class M = T>
concept HasUpdate = std::floating_point<T> && MomentType<M, T> &&
    requires(O const& o, std::span<T> weights, std::span<T const> gradients,
             OptimizerState<T, M> const& state, ParameterRange range, UpdateStep const& step) {
  o.update(weights, gradients, state, range, step);
};

template <class O, class T, class M = T>
concept Optimizer = HasOptions<O> && HasMoments<O> && HasUpdate<O, T, M>;

template <class O>
concept TakesMatrices = requires {
  requires O::takes_matrices;
};

/// For weights of type T and moments of type M on backend B, with scratch from an arena.
template <class O, class B, class T, class M = T>
concept HasMatrixUpdate = requires(O const& o, B& backend, std::span<T> weights, std::span<T const> gradients,
                                   OptimizerState<T, M> const& state, ParameterRange range,
                                   UpdateStep const& step, Arena& scratch) {
  o.update_matrix(backend, weights, gradients, state, range, step, scratch);
  {o.elementwise().update(weights, gradients, state, range, step)};
};

/// An optimizer that can do on a backend what it says it does.
template <class O, class B, class T, class M = T>
concept OptimizerOn = Optimizer<O, T, M> &&(!TakesMatrices<O> || HasMatrixUpdate<O, B, T, M>);

}  // namespace aeth::optim
