/// Checks for what a model has only while it trains, so that its absence is an error and not a read from nowhere.
#pragma once

#include "aeth/core/error.hpp"

namespace aeth::ops {

/// errors   UsageError for a null pointer
template <class W>
void require_packed(W const* packed) {
  expect<UsageError>(packed,
                     "linear: the packed weight is null; those that backward reads exist after "
                     "Model::enable_gradients() only");
}

/// errors   UsageError for a null pointer
template <class T>
void require_gradient(T const* gradient) {
  expect<UsageError>(gradient,
                     "backward: there is no gradient to add to; a model has them after "
                     "Model::enable_gradients() only");
}

}  // namespace aeth::ops
