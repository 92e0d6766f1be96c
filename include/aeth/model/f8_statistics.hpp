/// What FP8 did to each tensor of a model, from what its backend has counted.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "aeth/core/text.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/f8_statistics.hpp"

namespace aeth {

/// What a number was in products with a weight.
enum class F8Role { weight, input, output_gradient, gradient_by_columns, input_by_columns };

[[nodiscard]] constexpr std::string_view to_string(F8Role role) {
  constexpr std::string_view names[] = {"weight", "input", "output_gradient", "gradient_by_columns",
                                        "input_by_columns"};
  return names[static_cast<std::size_t>(role)];
}

struct F8TensorStatistics {
  std::string name;  ///< of the weight; where products read several together, of the first, and how many more
  F8Role role = F8Role::weight;
  F8Statistics statistics;
};

namespace detail {

/// The name of the first parameter that a packed weight is made of, and how many more there are.
template <class T, class W>
[[nodiscard]] std::string weight_name(std::vector<ParameterInfo> const& parameters,
                                      nn::PackedWeights<T, W> const& w) {
  Index const begin = w.first->offset + w.source_offset, end = begin + w.out * w.in;
  std::string name;
  Index count = 0;
  for (ParameterInfo const& p : parameters) {
    if (p.offset < begin || p.offset >= end) continue;
    if (count++ == 0) name = p.name;
  }
  count *= w.copies;
  return count > 1 ? text(name, " and ", count - 1, " more") : name;
}

}  // namespace detail

/// What an observation holds of a model, in the model's order; roles that were not seen are left out. Weights that products
/// read together, such as the gate and up projections of all experts of a layer, are one entry. What backward computes
/// again is counted again; weights are counted when `prepare` packs them.
///
/// usage   F8Observation seen;
///         cpu.observe_f8(&seen);
///         trainer.step();
///         cpu.observe_f8(nullptr);
///         for (auto const& entry : f8_statistics(model, seen)) …
template <class Model>
[[nodiscard]] std::vector<F8TensorStatistics> f8_statistics(Model const& model, F8Observation const& seen) {
  static_assert(std::is_same_v<typename Model::Weight, e4m3>,
                "only models with FP8 weights have FP8 products");
  std::vector<F8TensorStatistics> out;
  auto const& packed = model.packed_weights();
  for (std::size_t i = 0; i + 1 < packed.size(); ++i) {
    auto const &forward = *packed[i], &backward = *packed[i + 1];
    // Others are parts of weights for absorbed attention, with the same codes.
    if (forward.training || !backward.training) continue;
    std::string const name = detail::weight_name(model.parameters(), forward);
    auto const add = [&](F8Role role, F8Statistics const& statistics) {
      if (statistics.values > 0) out.push_back({name, role, statistics});
    };
    F8Statistics weight;
    for (Index copy = 0; copy < forward.copies; ++copy)
      weight += seen.of(forward.data + copy * forward.stride, F8Operand::weight);
    add(F8Role::weight, weight);
    add(F8Role::input, seen.of(forward.data, F8Operand::rows));
    if (!backward.data) continue;
    add(F8Role::output_gradient, seen.of(backward.data, F8Operand::rows));
    auto const* const gradient = forward.first->gradient + forward.source_offset;
    add(F8Role::gradient_by_columns, seen.of(gradient, F8Operand::gradient_columns));
    add(F8Role::input_by_columns, seen.of(gradient, F8Operand::input_columns));
  }
  return out;
}

}  // namespace aeth
