/// Every stored number of a model as named places in its buffers: parameters, then selection biases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/finite.hpp"
#include "aeth/io/tensor_differences.hpp"
#include "aeth/io/tensor_entry.hpp"
#include "aeth/nn/parameter.hpp"

namespace aeth {

/// A tensor of a model: its name in Hugging Face files and its place in memory. T is const for reading.
template <class T>
struct WeightSlot {
  std::string name;
  io::TensorShape shape;
  std::span<T> values;
};

/// All parameters in the model's order, then all selection biases; the norms' gains have one extent.
///
/// A constant model gives slots to read.
template <class M>
[[nodiscard]] auto weight_slots(M& model) {
  using Master = typename M::Master;
  static_assert(std::is_same_v<Master, typename M::Exact>);
  using T = std::conditional_t<std::is_const_v<M>, Master const, Master>;
  std::vector<WeightSlot<T>> slots;
  for (auto const& p : model.parameters()) {
    auto const rows = static_cast<std::uint64_t>(p.rows), cols = static_cast<std::uint64_t>(p.cols);
    slots.push_back(
        {p.name,
         p.kind == nn::ParameterKind::norm ? io::TensorShape{rows * cols} : io::TensorShape{rows, cols},
         {model.weights().data + p.offset, to_size(p.size())}});
  }
  auto const biases = model.biases();
  Index row = 0;
  for (std::string const& name : model.bias_names()) {
    slots.push_back({name,
                     {static_cast<std::uint64_t>(biases.cols)},
                     {biases.data + row * biases.stride, to_size(biases.cols)}});
    ++row;
  }
  return slots;
}

/// What a file may have besides the slots without its being used: a name and the shape it must have.
struct IgnoredTensor {
  std::string name;
  io::TensorShape shape;
};

/// Errors: IoError for the first value that is not finite as T.
template <class T>
void expect_finite(io::TensorEntry const& tensor, std::string_view file) {
  std::uint64_t const size = tensor.bytes.size() * 8 / io::bits_of(tensor.dtype);
  constexpr std::uint64_t part = 4096;
  T values[part];
  for (std::uint64_t at = 0; at < size; at += part) {
    std::uint64_t const count = min(part, size - at);
    io::copy_values(tensor, at, static_cast<std::size_t>(count), values);
    io::expect_finite(values, count, tensor.name, at, file);
  }
}

/// Fills slots from tensors of the same names, converted to T. Either all slots are filled or none.
///
/// errors   IoError that lists all missing, unknown and unfit tensors of `file`; IoError for the first value
///          that is not finite, unless `allow_nonfinite`
/// cost     reads the tensors twice
template <class T>
void fill_slots(std::vector<WeightSlot<T>> const& slots, std::span<io::TensorEntry const> tensors,
                std::span<IgnoredTensor const> ignored, std::string_view file, bool allow_nonfinite) {
  std::unordered_map<std::string_view, io::TensorEntry const*> by_name;
  for (io::TensorEntry const& t : tensors) by_name.emplace(t.name, &t);
  io::TensorDifferences differences;
  auto const take = [&](std::string const& name, io::TensorShape const& shape) -> io::TensorEntry const* {
    auto const found = by_name.find(name);
    if (found == by_name.end()) return nullptr;
    io::TensorEntry const* const t = found->second;
    by_name.erase(found);
    if (t->shape != shape)
      differences.add_wrong(text(io::in_quotes(name), " has shape ", io::shape_text(t->shape),
                                 ", the model has ", io::shape_text(shape)));
    else if (!io::is_readable_as<T>(t->dtype))
      differences.add_wrong(text(io::in_quotes(name), " has type ", io::name_of(t->dtype),
                                 "; F64, F32, F16 and BF16 are read"));
    return t;
  };
  std::vector<io::TensorEntry const*> sources;
  for (WeightSlot<T> const& slot : slots) {
    sources.push_back(take(slot.name, slot.shape));
    if (!sources.back()) differences.add_missing(slot.name);
  }
  for (IgnoredTensor const& other : ignored) (void)take(other.name, other.shape);
  for (io::TensorEntry const& t : tensors)
    if (by_name.count(t.name) != 0) differences.add_unknown(t.name);
  differences.check(file, "give the file of this configuration, or rename its tensors");

  if (!allow_nonfinite)
    for (io::TensorEntry const* const t : sources) expect_finite<T>(*t, file);
  for (std::size_t i = 0; i < slots.size(); ++i)
    io::copy_values(*sources[i], 0, slots[i].values.size(), slots[i].values.data());
}

}  // namespace aeth
