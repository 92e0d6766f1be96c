// A training run to be killed: a tiny model that saves every few steps in the background. scripts/soak starts it again and
// again.
//
//   trainer FOLDER PRECISION STEPS SAVE_EVERY KEEP THREADS [FAULT_EVERY DISK_SEED]
//
// It continues what it finds in FOLDER. With FAULT_EVERY, gradients break once in so many steps, some of the text is noise,
// and a monitor deals with both; with DISK_SEED other than 0 a third of the saves meet a full disk. Exit codes are those of
// the example programs.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "aeth/config/presets.hpp"
#include "aeth/model/model.hpp"
#include "aeth/train/event_log.hpp"
#include "aeth/train/monitor.hpp"
#include "aeth/train/saver.hpp"
#include "support/bad_text.hpp"
#include "support/faults.hpp"
#include "support/small_text.hpp"

namespace {

using namespace aeth;

/// What to do with the faults: any may come again and again.
train::MonitorOptions surviving() {
  // [begin policies]
  train::MonitorOptions o;
  o.non_finite = o.loss_spike = train::Policy::skip;
  o.gradient_spike = train::Policy::roll_back;
  // [end policies]
  o.loss = {.window = 20, .warmup = 10, .deviations = 6, .least = 1.0};
  o.gradient = {.window = 20, .warmup = 10, .deviations = 8, .least = 4.0};
  o.max_rollbacks = 1'000'000;
  o.slow = 0.0;  // when it is killed, and how fast it is, must not show
  return o;
}

/// STEPS SAVE_EVERY KEEP THREADS FAULT_EVERY DISK_SEED, in this order.
using Numbers = std::array<Index, 6>;

template <class P>
void run(std::string const& path, Numbers const& numbers) {
  auto const [steps, save_every, keep, threads, fault_every, disk_seed] = numbers;
  auto const text = fault_every > 0 ? test::poisoned(test::small_text(1), 100) : test::small_text(1);
  test::FaultyCpu cpu(static_cast<int>(threads));
  Model<presets::tiny, P, test::FaultyCpu> model(cpu);
  model.initialize(4);
  train::TrainerOptions options;
  options.batch_rows = 2;
  options.length = 32;
  options.steps = steps;
  options.warmup_steps = 4;
  options.validate_every = 0;
  options.loss.balance_weight = 1e-3;
  options.save_every = save_every;
  train::Trainer trainer(model, {text.training, text.validation, text.validation_bytes, 0}, options);
  train::Monitor monitor(surviving());
  if (fault_every > 0) trainer.monitor = &monitor;
  cpu.break_gradients(trainer.state().step, fault_every);
  // What scripts/soak takes for a failure: after a mere kill there is nothing to tell.
  auto const notice = [&, full = disk_seed > 0](std::string const& content) {
    bool const expected = full && content.find(" is not saved: ") != std::string::npos;
    if (!expected) std::printf("notice: %s\n", content.c_str());
  };
  auto const on_error = disk_seed > 0 ? train::OnSaveError::go_on : train::OnSaveError::stop;
  test::FlakyDisk disk(static_cast<std::uint64_t>(disk_seed), disk_seed > 0 ? 0.3 : 0.0);
  io::GenerationWriter folder(path, {.last = to_size(keep)}, disk);
  // [begin saving]
  train::Saver saver(trainer, folder, {.on_error = on_error, .notice = notice});
  if (folder.has_generations())
    for (std::string const& content : saver.resume()) notice(content);
  trainer.save = std::ref(saver);
  trainer.roll_back = [&](Index step) { saver.roll_back(step); };
  // [end saving]
  // [begin events]
  train::EventLog log(path + "-events.jsonl", monitor.recorded_until(trainer.state().step));
  monitor.record = std::ref(log);
  // [end events]
  trainer.save = [&](train::SaveMoment moment) {
    if (moment == train::SaveMoment::due && trainer.state().step > 0) disk.turn();
    if (moment == train::SaveMoment::last) disk.mend();
    saver(moment);
  };
  trainer.run();
}

}  // namespace

int main(int argc, char** argv) try {
  std::string_view const precision = argc == 7 || argc == 9 ? argv[2] : "";
  Numbers numbers{};
  for (int i = 3; i < std::min(argc, 9); ++i) numbers[to_size(i - 3)] = std::strtoll(argv[i], nullptr, 10);
  if (precision == "fp32") return run<Fp32>(argv[1], numbers), 0;
  if (precision == "bf16") return run<Bf16>(argv[1], numbers), 0;
  if (precision == "fp8") return run<Fp8>(argv[1], numbers), 0;
  std::fprintf(stderr,
               "usage: trainer FOLDER fp32|bf16|fp8 STEPS SAVE_EVERY KEEP THREADS [FAULT_EVERY DISK_SEED]\n");
  return static_cast<int>(ExitCode::usage);
} catch (Error const& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return static_cast<int>(error.code());
}
