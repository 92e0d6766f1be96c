/// How many layers of each kind a model has, in closed form (layers may number millions in a wrong file).
#pragma once

#include "aeth/config/model_config.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// Layers of the main model with experts: multiples of layer_stride from dense_layers on.
///
/// The configuration must be valid (`config/validate.hpp`).
[[nodiscard]] constexpr Index moe_layers(ModelConfig const& c) noexcept {
  if (c.moe.experts <= 0) return 0;
  Index const stride = c.moe.layer_stride;
  return ceil_div(Index{c.layers}, stride) - ceil_div(Index{c.dense_layers}, stride);
}

/// Layers of the main model with a dense FFN.
[[nodiscard]] constexpr Index dense_ffn_layers(ModelConfig const& c) noexcept {
  return c.layers - moe_layers(c);
}

}  // namespace aeth
