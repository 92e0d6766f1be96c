/// A state to save whose every number says which step it is of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/generation_writer.hpp"
#include "aeth/io/generations.hpp"
#include "support/catch.hpp"

namespace aeth::test {

struct SavedState {
  std::uint64_t step;
  std::vector<float> weights;
  std::vector<double> moments;
  std::vector<std::int64_t> counts;

  explicit SavedState(std::uint64_t its_step, std::size_t size = 20)
      : step(its_step),
        weights(size, static_cast<float>(its_step)),
        moments(size, static_cast<double>(its_step)),
        counts{static_cast<std::int64_t>(its_step), -1} {}

  /// The tensors share this state's memory.
  [[nodiscard]] io::GenerationContent content() const {
    io::GenerationContent content{.step = step};
    content.notes = {{"made at", text(step)}};
    content.files = {{"a.safetensors",
                      {io::tensor_entry<float>("w", {weights.size()}, weights),
                       io::tensor_entry<std::int64_t>("n", {2}, counts)},
                      {{"of", "a"}}},
                     {"b.safetensors", {io::tensor_entry<double>("m", {moments.size()}, moments)}, {}}};
    return content;
  }
};

/// The step of a generation, having checked that all in it is of that step.
inline std::uint64_t whole_step(io::Generation const& generation) {
  SavedState const expected(generation.step(), generation.tensors("b.safetensors")[0].shape[0]);
  auto const in_a = generation.tensors("a.safetensors");
  REQUIRE(in_a.size() == 2);
  REQUIRE(io::values_of<std::int64_t>(in_a[0]) == expected.counts);  // wider types come first
  REQUIRE(io::values_of<float>(in_a[1]) == expected.weights);
  REQUIRE(io::values_of<double>(generation.tensors("b.safetensors")[0]) == expected.moments);
  REQUIRE(generation.notes() == io::Metadata{{"made at", text(generation.step())}});
  return generation.step();
}

/// The same of the newest one of a folder, of which nothing may be wrong.
inline std::uint64_t clean_step(std::string const& folder,
                                io::FileSystem& system = io::FileSystem::system()) {
  io::Generation const generation = io::newest_generation(folder, {}, system);
  std::string notices;
  for (std::string const& notice : generation.notices()) notices += notice + '\n';
  REQUIRE(notices == "");
  return whole_step(generation);
}

inline std::string lines_of(std::vector<std::string> const& notices) {
  std::string lines;
  for (std::string const& notice : notices) lines += notice + '\n';
  return lines;
}

}  // namespace aeth::test
