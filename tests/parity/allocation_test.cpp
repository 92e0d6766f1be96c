// Training allocates nothing after its warm-up: this program counts every call of operator new, of every thread.
//
// The promise, for batches of one shape: forward and backward allocate nothing after the first batch, and a whole
// Trainer::step() (the loader and its thread, losses, gradients, clipping, AdamW, selection biases, packing of
// weights) nothing after the first step, however the tokens of a batch fall into documents and experts. A new
// epoch is no exception. Validation, reports and checkpoints promise nothing; steps after a validation do.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <optional>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/random.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/train/step.hpp"
#include "aeth/train/trainer.hpp"
#include "support/catch.hpp"
#include "support/odd_configs.hpp"
#include "support/tensor.hpp"

using namespace aeth;

namespace {
std::atomic<std::int64_t> count{0};
}  // namespace

#if defined(__SANITIZE_ADDRESS__)
// The address sanitizer keeps its own operator new, and tells of each allocation. Declared here because its header is
// not installed with every compiler.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(void const volatile*, std::size_t),
                                                         void (*)(void const volatile*));
namespace {
int const hooks = __sanitizer_install_malloc_and_free_hooks(
    [](void const volatile*, std::size_t) { count.fetch_add(1); }, [](void const volatile*) {});
}
#else
namespace {
void* allocate(std::size_t size, std::size_t alignment) {
  count.fetch_add(1);
  void* const memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t size) {
  return allocate(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#endif

TEST_CASE("a training step allocates nothing after the first") {
  Cpu cpu(2);
  Model<presets::tiny, Fp32> model(cpu);
  model.initialize(1);
  train::Stepper stepper(model);
  data::Batch batch;
  batch.resize(2, 16, 2);
  Random random(9, RandomUse::test);
  auto const draw = [&] { return static_cast<std::int32_t>(random.below(presets::tiny.vocab_size)); };
  for (std::size_t i = 0; i < 32; ++i) batch.tokens[i] = draw();
  for (std::size_t i = 0; i < 64; ++i) batch.targets[i] = draw();
  batch.segments = {0, 16};
  (void)stepper.gradients(batch, {});
  auto const before = count.load();
  (void)stepper.evaluate(batch, 0);  // without the MTP modules, whose losses keep their memory
  CHECK(stepper.token_losses(1).size == 0);
  (void)stepper.gradients(batch, {});
  CHECK(count.load() == before);
}

namespace {

/// Documents of a few tokens and of several rows, in blocks, so that a batch has hundreds of segments or one per
/// row; short enough that an epoch ends after a few steps.
data::TokenCorpus uneven_corpus(int vocab) {
  data::TokenCorpus corpus;
  Random random(10, RandomUse::test);
  auto const document = [&](Index size) {
    for (Index i = 0; i < size; ++i)
      corpus.tokens.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab))));
    corpus.end_document();
  };
  for (int block = 0; block < 2; ++block) {
    document(300);
    for (int d = 0; d < 250; ++d) document(1 + static_cast<Index>(random.below(3)));
    for (int d = 0; d < 6; ++d) document(20 + static_cast<Index>(random.below(50)));
  }
  corpus.seal();
  return corpus;
}

constexpr ModelConfig odd = with(test::odd_v3, [](ModelConfig& c) { c.max_context = 128; });

struct Steps {
  std::vector<std::int64_t> allocations = std::vector<std::int64_t>(20);  ///< of each step after the first
  std::size_t epochs = 0;
};

template <ModelConfig C, class P, class Optimizer = optim::AdamW>
Steps train_steps(int threads, Index micro_rows, bool isolate,
                  std::optional<optim::Schedule> const& schedule = std::nullopt) {
  auto const corpus = uneven_corpus(C.vocab_size);
  Cpu cpu(threads);
  Model<C, P> model(cpu);
  model.initialize(1);
  train::TrainerOptions options;
  options.batch_rows = 3;
  options.micro_rows = micro_rows;
  options.length = 100;
  options.steps = 100;
  options.isolate_documents = isolate;
  options.schedule = schedule;
  train::Trainer<Model<C, P>, Optimizer> trainer(model, {corpus, corpus, 0, 0}, options);
  Steps steps;
  (void)trainer.step();
  auto before = count.load();
  for (auto& allocations : steps.allocations) {
    if (&allocations == &steps.allocations[5]) {
      (void)trainer.validate_now(1);  // may allocate, but costs the next step nothing
      before = count.load();
    }
    (void)trainer.step();
    allocations = count.load() - before;
    before += allocations;
  }
  steps.epochs = trainer.state().position.epoch;
  return steps;
}

template <ModelConfig C, class P>
void check_steps(int threads, Index micro_rows, bool isolate) {
  Steps const steps = train_steps<C, P>(threads, micro_rows, isolate);
  INFO(threads << " threads, micro_rows " << micro_rows << ", isolate " << isolate << ", " << P::name);
  CHECK(steps.allocations == std::vector<std::int64_t>(steps.allocations.size(), 0));
  CHECK(steps.epochs >= 2);
}

}  // namespace

TEST_CASE("a whole step of the trainer allocates nothing after the first, however uneven the documents") {
  for (int const threads : {1, 4})
    for (Index const micro_rows : {Index{0}, Index{2}})
      for (bool const isolate : {true, false}) {
        check_steps<presets::tiny, Fp32>(threads, micro_rows, isolate);
        check_steps<odd, Bf16>(threads, micro_rows, isolate);
      }
}

TEST_CASE("nor does it with another optimizer and a schedule of one's own") {
  auto const schedule = optim::cosine_schedule({.peak = 0.1, .warmup_steps = 5, .total_steps = 100});
  Steps const steps = train_steps<presets::tiny, Fp32, optim::Sgd>(2, 0, true, schedule);
  CHECK(steps.allocations == std::vector<std::int64_t>(steps.allocations.size(), 0));
}

TEST_CASE("attention allocates nothing for spans of the reserved length, first or not") {
  // Long enough that a task needs more than the arena's smallest block; lengths that no rounding fits.
  constexpr AttentionShape shape{.heads = 1, .nope_dim = 5, .rope_dim = 2, .v_dim = 3};
  constexpr Index keys = 2501, d = shape.qk_dim(), u = shape.v_dim;
  auto const q = test::random_tensor<float>(keys, d, 1), k_pe = test::random_tensor<float>(keys, 2, 2),
             kv = test::random_tensor<float>(keys, 5 + u, 3), d_o = test::random_tensor<float>(keys, u, 4);
  test::Tensor<float> o(keys, u), statistics(2, keys), dq(keys, d), dkv(keys, 5 + u), dk_pe(keys, 2);
  SoftmaxStatistics<float> const softmax{statistics.data(), statistics.data() + keys};
  auto const allocations_of = [&](Cpu& cpu, Index size) {
    std::vector<AttentionSpan> const spans{{0, size, 0, size}};
    auto const before = count.load();
    cpu.attention(shape, 0.5f, spans, q.view(), kv.view(), k_pe.view(), o.view(), softmax);
    cpu.attention_backward(shape, 0.5f, spans, q.view(), kv.view(), k_pe.view(), o.cview(), softmax,
                           d_o.view(), dq.view(), dkv.view(), dk_pe.view());
    return count.load() - before;
  };
  CHECK(cpu::attention_task_bytes<float>(shape, keys) > (Index{1} << 20));
  Cpu grows(1), reserved(1);
  reserved.reserve_attention<float>(shape, keys);
  for (Cpu* const cpu : {&grows, &reserved}) (void)allocations_of(*cpu, 1);  // what the tensors' sizes decide
  CHECK(allocations_of(grows, keys) > 0);
  CHECK(allocations_of(reserved, keys) == 0);
}

TEST_CASE("decoding allocates when a sequence has doubled, and no more than it holds at once") {
  Cpu cpu(2);
  Model<presets::tiny, Fp32> model(cpu);
  model.initialize(1);
  infer::Session session(model, 1, 250);
  std::int32_t const token = 5;
  std::vector<infer::Chunk> const chunk{{0, {&token, 1}}};
  while (session.length(0) < 130) session.decode(chunk);
  auto const before = count.load();
  while (session.length(0) < 250) session.decode(chunk);
  CHECK(count.load() == before);
}

TEST_CASE("scratch of attention over a growing cache is about what the longest needs") {
  Index const heads = 16, latent = 64, width = 80;
  auto const cache = test::random_tensor<float>(8192, width, 1),
             q = test::random_tensor<float>(1, heads * width, 2);
  test::Tensor<float> o(1, heads * latent);
  auto const held_after = [&](Index step) {
    Cpu cpu(1);
    for (Index keys = step; keys <= 8192; keys += step)
      cpu.latent_attention(heads, latent, 0.1f, {{0, 1, 0, keys}}, q.view(), cache.view(), o.view());
    return cpu.scratch().capacity();
  };
  CHECK(held_after(128) <= 2 * held_after(8192) + (Index{2} << 20));
}
