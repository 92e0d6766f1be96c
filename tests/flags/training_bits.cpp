// Prints a hash of all gradients of a training step. Built twice, with the user's flags and with flags that
// let the compiler fuse multiplications into additions: both must print the same.
#include <cstdint>
#include <cstdio>

#include "aeth/backend/cpu.hpp"
#include "support/odd_configs.hpp"
#include "support/training_run.hpp"

namespace {

using namespace aeth;

template <ModelConfig C>
std::uint64_t gradient_hash() {
  Cpu cpu(2);
  Model<C, Fp32, Cpu> model(cpu);
  model.enable_gradients();
  test::randomize(model, 7);
  Pass pass(model);
  test::Batch const batch(
      {test::random_sequence({5, 9}, 1, C.vocab_size), test::random_sequence({51}, 2, C.vocab_size)},
      C.mtp_depth);
  (void)test::training_step(model, pass, batch, {.token = 0.01, .mtp = 0.3, .balance = 0.1});
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (float const g : model.gradients()) {
    std::uint32_t bits;
    std::memcpy(&bits, &g, sizeof bits);
    hash = (hash ^ bits) * 0x100000001b3u;
  }
  return hash;
}

}  // namespace

int main() {
#if defined(__FMA__)
  if (!__builtin_cpu_supports("fma")) return 77;
#endif
  std::printf("%016llx %016llx\n", static_cast<unsigned long long>(gradient_hash<test::odd_v3>()),
              static_cast<unsigned long long>(gradient_hash<test::odd_v2>()));
}
