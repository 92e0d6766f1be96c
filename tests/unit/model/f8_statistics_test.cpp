#include "aeth/model/f8_statistics.hpp"

#include <algorithm>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "support/catch.hpp"
#include "support/training_run.hpp"

namespace {
using namespace aeth;
using Tiny = Model<presets::tiny, Fp8>;

/// A training step under observation.
std::vector<F8TensorStatistics> observed_step(double weight_of_first = 0.0) {
  Cpu cpu(2);
  Tiny model(cpu);
  model.enable_gradients();
  F8Observation seen;
  test::randomize(model, 3);
  if (weight_of_first != 0.0)
    for (ParameterInfo const& p : model.parameters())
      if (p.name == "model.layers.0.self_attn.q_a_proj.weight")
        model.weights()[p.offset] = static_cast<float>(weight_of_first);
  cpu.observe_f8(&seen);
  model.prepare();
  Pass<Tiny> pass(model);
  test::Batch const batch({test::random_sequence({20, 12}, 1, Tiny::config.vocab_size)},
                          Tiny::config.mtp_depth);
  (void)test::training_step(model, pass, batch, {});
  cpu.observe_f8(nullptr);
  return f8_statistics(model, seen);
}

F8Statistics const& part(std::vector<F8TensorStatistics> const& all, std::string const& name, F8Role role) {
  auto const found = std::find_if(all.begin(), all.end(), [&](F8TensorStatistics const& s) {
    return s.role == role && s.name.starts_with(name);
  });
  REQUIRE(found != all.end());
  return found->statistics;
}

TEST_CASE("each FP8 product of a step is counted under its weight's name and role", "[model][fp8]") {
  auto const all = observed_step();
  Index const tokens = 32, rank = Tiny::config.mla.q_rank, dim = Tiny::config.dim;
  std::string const q_a = "model.layers.0.self_attn.q_a_proj.weight";
  CHECK(part(all, q_a, F8Role::weight).values == rank * dim);
  CHECK(part(all, q_a, F8Role::input).values == tokens * dim);
  CHECK(part(all, q_a, F8Role::output_gradient).values == tokens * rank);
  CHECK(part(all, q_a, F8Role::gradient_by_columns).values == tokens * rank);
  CHECK(part(all, q_a, F8Role::input_by_columns).values == tokens * dim);

  // Experts share products: one entry for all of a layer's.
  auto const& moe = Tiny::config.moe;
  std::string const experts =
      "model.layers.1.mlp.experts.0.gate_proj.weight and " + std::to_string(2 * moe.experts - 1) + " more";
  CHECK(part(all, experts, F8Role::weight).values == Index{2} * moe.experts * moe.hidden_dim * dim);
  CHECK(part(all, experts, F8Role::input).values == tokens * moe.top_k * dim);

  // All five roles of every product, and nothing twice.
  CHECK(all.size() % 5 == 0);
  for (F8TensorStatistics const& a : all)
    CHECK(std::count_if(all.begin(), all.end(), [&](F8TensorStatistics const& b) {
            return b.name == a.name && b.role == a.role;
          }) == 1);
}

TEST_CASE("a tensor with an outlier is told from the others", "[model][fp8]") {
  auto const plain = observed_step(), with = observed_step(1e6);
  std::string const q_a = "model.layers.0.self_attn.q_a_proj.weight";
  CHECK(part(plain, q_a, F8Role::weight).vanished == 0);
  // All that shares a tile with it is too small for its scale.
  CHECK(part(with, q_a, F8Role::weight).vanished > 1000);
  CHECK(part(with, q_a, F8Role::weight).largest_scale == 1e6f / 448.0f);
  std::string const o = "model.layers.0.self_attn.o_proj.weight";
  CHECK(part(with, o, F8Role::weight) == part(plain, o, F8Role::weight));
}

}  // namespace
