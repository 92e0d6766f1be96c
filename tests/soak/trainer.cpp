// A training run to be killed: a tiny model that saves every few steps in the background. scripts/soak starts it again and
// again.
//
//   trainer FOLDER PRECISION STEPS SAVE_EVERY KEEP THREADS
//
// It continues what it finds in FOLDER. Exit codes are those of the example programs.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/model/model.hpp"
#include "aeth/train/saver.hpp"
#include "support/small_text.hpp"

namespace {

using namespace aeth;

template <class P>
void run(char const* const* arguments) {
  auto const number = [&](int index) {
    return static_cast<Index>(std::strtoll(arguments[index], nullptr, 10));
  };
  auto const text = test::small_text(1);
  Cpu cpu(static_cast<int>(number(6)));
  Model<presets::tiny, P> model(cpu);
  model.initialize(4);
  train::TrainerOptions options;
  options.batch_rows = 2;
  options.length = 32;
  options.steps = number(3);
  options.warmup_steps = 4;
  options.validate_every = 0;
  options.loss.balance_weight = 1e-3;
  options.save_every = number(4);
  train::Trainer trainer(model, {text.training, text.validation, text.validation_bytes, 0}, options);
  std::string const path = arguments[1];
  std::size_t const keep = to_size(number(5));
  // What scripts/soak takes for a failure: after a mere kill there is nothing to tell.
  auto const notice = [](std::string const& content) { std::printf("notice: %s\n", content.c_str()); };
  // [begin saving]
  io::GenerationWriter folder(path, {.last = keep});  // locks it
  train::Saver saver(trainer, folder, {.notice = notice});
  if (folder.has_generations())
    for (std::string const& content : saver.resume()) notice(content);
  trainer.save = std::ref(saver);
  trainer.run();
  // [end saving]
}

}  // namespace

int main(int argc, char** argv) try {
  std::string_view const precision = argc == 7 ? argv[2] : "";
  if (precision == "fp32") return run<Fp32>(argv), 0;
  if (precision == "bf16") return run<Bf16>(argv), 0;
  if (precision == "fp8") return run<Fp8>(argv), 0;
  std::fprintf(stderr, "usage: trainer FOLDER fp32|bf16|fp8 STEPS SAVE_EVERY KEEP THREADS\n");
  return static_cast<int>(ExitCode::usage);
} catch (Error const& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return static_cast<int>(error.code());
}
