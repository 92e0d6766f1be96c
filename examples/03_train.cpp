// Trains a DeepSeek-V3-style model on text: by default three minutes on the C++ library headers of this
// machine's compiler. Ends with the validation loss in bits per byte beside gzip and xz, pictures, and
// completions.
#include <functional>
#include <optional>
#include <utility>

#include "aeth/aeth.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "aeth/optim/muon.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/train/event_log.hpp"
#include "aeth/train/replay.hpp"
#include "aeth/train/saver.hpp"
#include "support/console.hpp"
#include "support/demo_model.hpp"
#include "support/run_log.hpp"
#include "support/train_arguments.hpp"
#include "support/training_results.hpp"
#include "support/training_text.hpp"

namespace {

using namespace aeth;

/// Everything between reading text and a trained model in the run's folder.
template <class P, class Optimizer>
ExitCode train_model(demo::TrainArguments const& a, Optimizer const& optimizer) {
  train::TrainerOptions options = demo::trainer_options(a);
  // From here on the folder is this process's; another one that is given it is refused.
  io::GenerationWriter checkpoints(a.folder + "/checkpoints", a.keep);
  expect<UsageError>(
      a.resume || a.overwrite || a.replay > 0 || !checkpoints.has_generations(), "'", a.folder,
      "' holds another run; continue it with --resume, replace it with --overwrite, or name another folder "
      "with --out");
  auto const text = demo::read_text(a);

  Cpu cpu(a.threads);
  demo::ModelIn<P> model(cpu);
  model.initialize(a.options.seed);
  std::cout << "model: " << grouped(trainable_parameters(demo::config))
            << " parameters with multi-token prediction, " << grouped(count_activated(demo::config).total())
            << " used per token; " << text.training.size() << " training tokens; " << cpu.threads()
            << " threads, " << to_string(cpu.level()) << '\n';

  std::optional<demo::RunLog> log;
  std::function<MatrixView<std::int64_t const>()> trainer_load;
  train::ProgressLine line;
  options.report = [&](train::Progress const& p) {
    log->add(p, trainer_load(), std::as_const(model).biases());
    line(p);
  };
  options.stop = &console::stop_requested;
  console::save_on_signal();
  train::Trainer trainer(
      model,
      {text.training, text.validation, text.split.validation_bytes, text.tokenizer.special_tokens().eos},
      options, optimizer);
  trainer_load = [&] { return trainer.stepper().load(); };
  train::Monitor monitor(demo::monitor_options(a.on_trouble));
  trainer.monitor = &monitor;
  if (a.replay > 0) {
    std::cout << describe(train::replay(trainer, checkpoints.folder(), a.replay)) << '\n';
    return ExitCode::ok;
  }
  auto const note = [](std::string const& notice) { std::cout << "\nnote: " << notice << '\n'; };
  train::Saver saver(
      trainer, checkpoints,
      {.on_error = a.on_save_error == "stop" ? train::OnSaveError::stop : train::OnSaveError::go_on,
       .notice = note});
  if (a.resume)
    for (auto const& notice : saver.resume()) note(notice);
  // Only now: whatever is wrong with options or text has been refused, and the earlier run is still there.
  if (a.overwrite) checkpoints.start_over();
  data::save_tokenizer_json(text.tokenizer, a.folder + "/tokenizer.json");
  log.emplace(a.folder, demo::config, demo::ModelIn<P>::moe_layers(), options, trainer.state().step);
  trainer.save = std::ref(saver);
  trainer.roll_back = [&](Index step) { saver.roll_back(step); };
  train::EventLog events(a.folder + "/events.jsonl", monitor.recorded_until(trainer.state().step));
  monitor.health = [&](train::Health const& health) { log->add(health); };
  monitor.record = [&](train::Event const& event) {
    events(event);
    note(event.message);
  };
  trainer.run();
  console::end_on_signal();
  if (console::stop_requested) {
    std::cout << "\nstopped at step " << trainer.state().step << ", saved in " << checkpoints.folder()
              << "; go on with --resume\n";
    return ExitCode::interrupted_saved;
  }

  demo::print_results(trainer, text, a.folder);
  std::cout << "pictures: " << log->pictures() << "\n";
  demo::show_completions(model, text.tokenizer, text.split.validation.front().text);
  return ExitCode::ok;
}

template <class P>
ExitCode train_in(demo::TrainArguments const& a) {
  if (a.optimizer == "sgd") return train_model<P>(a, optim::Sgd());
  if (a.optimizer == "muon") return train_model<P>(a, optim::Muon());
  return train_model<P>(a, optim::AdamW());
}

}  // namespace

int main(int argc, char** argv) {
  demo::TrainArguments a;
  int code = 0;
  if (!demo::parse(a, argc, argv, code)) return code;
  console::outlast_its_terminal();
  return console::guarded([&] {
    if (a.precision == "bf16") return train_in<Bf16>(a);
    if (a.precision == "fp8") return train_in<Fp8>(a);
    return train_in<Fp32>(a);
  });
}
