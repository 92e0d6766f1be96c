/// What an optimizer is: options, a number of moment buffers, and an update in which each element depends on
/// its own gradient and moments only. Ranges may be split anywhere, and `update` is called from several threads
/// at once, for ranges that do not overlap.
#pragma once

#include <concepts>
#include <span>
#include <string>

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

}  // namespace aeth::optim
