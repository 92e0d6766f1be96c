// A training step allocates nothing after the first: this program counts every call of operator new.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/random.hpp"
#include "aeth/train/step.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {
std::atomic<std::int64_t> count{0};

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
  (void)stepper.gradients(batch, {});
  CHECK(count.load() == before);
}
