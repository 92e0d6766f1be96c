// The predicted memory of a training step against what a step takes.
#include "aeth/config/training_memory.hpp"

#include <type_traits>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/random.hpp"
#include "aeth/numeric/precision.hpp"
#include "aeth/train/step.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {

/// Full-rank queries, no shared expert, no MTP.
inline constexpr ModelConfig plain = with(presets::micro, [](ModelConfig& c) {
  c.vocab_size = 320;
  c.mla.q_rank = 0;
  c.moe.shared = 0;
  c.mtp_depth = 0;
});

/// BF16 whose backward pass computes again what is cheap.
struct LeanBf16 : Bf16 {
  static constexpr bool recomputes = true;
};

data::Batch random_batch(ModelConfig const& c, TrainingBatch const& size) {
  data::Batch batch;
  batch.resize(size.rows, size.length, 1 + c.mtp_depth);
  Random random(1, RandomUse::test);
  for (auto* const tokens : {&batch.tokens, &batch.targets})
    for (auto& token : *tokens)
      token = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(c.vocab_size)));
  for (Index row = 0; row < size.rows; ++row)
    batch.segments.push_back(static_cast<std::int32_t>(row * size.length));
  return batch;
}

template <ModelConfig C, class P, TrainingBatch Size>
void compare() {
  Cpu cpu(1);
  Model<C, P> model(cpu);
  model.initialize(1);
  train::Stepper stepper(model, Size.micro_rows);
  data::Batch const batch = random_batch(C, Size);
  for (int step = 0; step < 2; ++step) (void)stepper.gradients(batch, {});
  constexpr TrainingTypes types = training_types<P>();
  constexpr TrainingMemory predicted = training_memory(C, Size, types);
  constexpr ActivationBytes activations = activation_bytes(C, Size, types);
  CHECK(stepper.activations().most_taken() == activations.most_taken);
  CHECK(stepper.activations().capacity() == activations.held);
  CHECK(activations.held == predicted.activations);
  CHECK(model.weights().size * types.master == predicted.weights);
  CHECK(model.gradients().size * types.master == predicted.gradients);
  constexpr AttentionShape shape = std::remove_cvref_t<decltype(model.blocks().front().attention())>::shape;
  STATIC_REQUIRE(detail::thread_scratch(C, types, Size.length) ==
                 max(cpu::attention_task_bytes<typename P::Exact>(shape, Size.length), Index{1} << 20));
}

}  // namespace

TEST_CASE("activations of a step take the predicted bytes", "[config]") {
  compare<presets::tiny, Fp32, TrainingBatch{.rows = 3, .length = 40}>();
  compare<presets::tiny, Bf16, TrainingBatch{.rows = 4, .length = 24, .micro_rows = 2}>();
  compare<plain, Fp32, TrainingBatch{.rows = 2, .length = 17}>();
  compare<plain, Bf16, TrainingBatch{.rows = 3, .length = 33, .micro_rows = 1}>();
  compare<presets::tiny, LeanBf16, TrainingBatch{.rows = 4, .length = 24, .micro_rows = 2}>();
  compare<presets::tiny, Fp8, TrainingBatch{.rows = 3, .length = 40}>();
  compare<plain, Fp8, TrainingBatch{.rows = 3, .length = 33, .micro_rows = 1}>();
}

TEST_CASE("predicted training memory follows batch and types", "[config]") {
  constexpr TrainingMemory all = training_memory(presets::mini, {.rows = 16, .length = 256});
  constexpr TrainingMemory quarter =
      training_memory(presets::mini, {.rows = 16, .length = 256, .micro_rows = 4});
  STATIC_REQUIRE(quarter.weights == all.weights);
  STATIC_REQUIRE(4 * quarter.activations > all.activations);
  STATIC_REQUIRE(2 * quarter.activations < all.activations);
  STATIC_REQUIRE(all.weights == Index{4} * trainable_parameters(presets::mini));
  STATIC_REQUIRE(all.packed > all.weights);
  STATIC_REQUIRE(all.total() ==
                 all.weights + all.packed + all.gradients + all.moments + all.activations + all.scratch);
  constexpr TrainingMemory narrow =
      training_memory(presets::mini, {.rows = 16, .length = 256}, training_types<Bf16>());
  STATIC_REQUIRE(2 * narrow.packed < all.packed + all.packed / 10);
  STATIC_REQUIRE(narrow.activations < all.activations);
  constexpr TrainingMemory lean =
      training_memory(presets::mini, {.rows = 16, .length = 256}, training_types<LeanBf16>());
  constexpr TrainingMemory f8 =
      training_memory(presets::mini, {.rows = 16, .length = 256}, training_types<Fp8>());
  STATIC_REQUIRE(lean.activations < narrow.activations);
  STATIC_REQUIRE(f8.activations < lean.activations);
  STATIC_REQUIRE(f8.packed < narrow.packed);
  STATIC_REQUIRE(narrow.moments == 8 * trainable_parameters(presets::mini));
  STATIC_REQUIRE(f8.moments == 4 * trainable_parameters(presets::mini));
}
