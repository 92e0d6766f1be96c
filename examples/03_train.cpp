// Trains a DeepSeek-V3-style model on text: by default three minutes on the C++ library headers of this
// machine's compiler. Ends with the validation loss in bits per byte beside gzip and xz, pictures, and
// completions.
#include <functional>
#include <optional>
#include <utility>

#include "aeth/aeth.hpp"
#include "aeth/data/text_source.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "aeth/optim/muon.hpp"
#include "aeth/optim/recipe_schedule.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/train/agreement.hpp"
#include "aeth/train/event_log.hpp"
#include "aeth/train/replay.hpp"
#include "aeth/train/saver.hpp"
#include "support/console.hpp"
#include "support/demo_model.hpp"
#include "support/run_log.hpp"

namespace {

using namespace aeth;

struct Arguments {
  std::string source = console::cxx_headers();
  std::string folder = "out/demo";
  std::vector<std::string> patterns{
      "*.h",  "*.hpp", "*.tcc", "*.c",    "*.cc", "*.cpp",   "*.py",     "*.txt",
      "*.md", "*.rs",  "*.go",  "*.java", "*.js", "*.jsonl", "*.ndjson", std::string(io::no_extension)};
  train::TrainerOptions options = demo::options();
  io::KeepOptions keep;
  std::string on_save_error = "stop";
  std::string on_trouble = "stop";
  Index replay = 0;
  std::string precision = "fp32", optimizer = "adamw", schedule = "wsd";
  double validation_share = 0.05, fim_rate = 0.1;
  std::string field = "text";
  int threads = 0;
  bool resume = false, overwrite = false, skip_bad_lines = false;
};

/// The rates of each step, or none where the trainer's own warm-up, constant, decay is wanted.
std::optional<optim::Schedule> chosen_schedule(Arguments const& a) {
  auto const& o = a.options;
  if (a.schedule == "wsd") return std::nullopt;
  expect<UsageError>(o.steps > 0, "--schedule ", a.schedule,
                     " needs the length of the run; give --steps in place of --minutes");
  if (a.schedule == "cosine")
    return optim::cosine_schedule({.peak = o.learning_rate,
                                   .floor = o.learning_rate * o.final_rate,
                                   .warmup_steps = min(o.warmup_steps, o.steps),
                                   .total_steps = o.steps});
  return optim::recipe_schedule(
      presets::deepseek_v3_recipe,
      {.total_steps = o.steps, .warmup_steps = min(o.warmup_steps, o.steps / 2), .peak = o.learning_rate});
}

/// Without a policy of their own, spikes are told and learned from; numbers that are not finite end the run.
train::MonitorOptions monitor_options(std::string const& on_trouble) {
  train::MonitorOptions o;
  if (on_trouble != "stop")
    o.empty_batch = o.non_finite = o.loss_spike = o.gradient_spike =
        on_trouble == "skip" ? train::Policy::skip : train::Policy::roll_back;
  return o;
}

/// Everything between reading text and a trained model in the run's folder.
template <class P, class Optimizer>
ExitCode train_model(Arguments const& a, Optimizer const& optimizer) {
  expect<DataError>(!a.source.empty(),
                    "no C++ library headers below /usr/include/c++; name a text file or folder with "
                    "--data");
  train::TrainerOptions options = a.options;
  options.schedule = chosen_schedule(a);
  train::validate(options);
  // From here on the folder is this process's; another one that is given it is refused.
  io::GenerationWriter checkpoints(a.folder + "/checkpoints", a.keep);
  expect<UsageError>(
      a.resume || a.overwrite || a.replay > 0 || !checkpoints.has_generations(), "'", a.folder,
      "' holds another run; continue it with --resume, replace it with --overwrite, or name another folder "
      "with --out");
  data::SourceReport report;
  auto const bad_line = a.skip_bad_lines ? data::BadLine::skip : data::BadLine::stop;
  auto documents = data::read_text_source(
      a.source, {.files = {.patterns = a.patterns}, .jsonl = {.field = a.field, .bad_line = bad_line}},
      &report);
  if (report.bad_lines > 0)
    std::cout << "note: " << report.bad_lines << " bad lines were left out. First: " << report.first_problem
              << '\n';
  if (documents.size() == 1) documents = console::cut_in_parts(documents[0].text);
  auto split = data::split_documents(std::move(documents), {.fraction = a.validation_share});
  std::cout << "text: " << report.documents << " documents, " << report.bytes << " bytes from " << a.source
            << "; " << split.validation.size() << " documents (" << split.validation_bytes
            << " bytes) for validation, none of them similar to one trained on\n";
  data::BpeTrainer counts;
  for (auto const& document : split.training) counts.add(document.text);
  data::BpeReport made;
  auto const tokenizer = counts.train({.vocab_size = demo::config.vocab_size}, &made);
  if (made.stopped_early)
    std::cout << "note: the text supports only " << made.vocab_size << " of the model's "
              << demo::config.vocab_size << " tokens; the others are never produced\n";
  auto const training = data::pack(split.training, tokenizer, {.rate = a.fim_rate, .seed = a.options.seed});
  auto const validation = data::pack(split.validation, tokenizer);

  Cpu cpu(a.threads);
  demo::ModelIn<P> model(cpu);
  model.initialize(a.options.seed);
  std::cout << "model: " << grouped(trainable_parameters(demo::config))
            << " parameters with multi-token prediction, " << grouped(count_activated(demo::config).total())
            << " used per token; " << training.size() << " training tokens; " << cpu.threads() << " threads, "
            << to_string(cpu.level()) << '\n';

  std::optional<demo::RunLog> log;
  std::function<MatrixView<std::int64_t const>()> trainer_load;
  train::ProgressLine line;
  options.report = [&](train::Progress const& p) {
    log->add(p, trainer_load(), std::as_const(model).biases());
    line(p);
  };
  options.stop = &console::stop_requested;
  console::save_on_signal();
  train::Trainer trainer(model,
                         {training, validation, split.validation_bytes, tokenizer.special_tokens().eos},
                         options, optimizer);
  trainer_load = [&] { return trainer.stepper().load(); };
  train::Monitor monitor(monitor_options(a.on_trouble));
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
  data::save_tokenizer_json(tokenizer, a.folder + "/tokenizer.json");
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

  auto const result = trainer.validate_now();
  std::string const text_path = a.folder + "/validation.txt";
  std::string all;
  for (auto const& document : split.validation) all += document.text;
  io::write_file_atomic(text_path, all);
  double const bytes = static_cast<double>(all.size());
  auto const bits = [&](char const* command) {
    double const size = console::compressed_size(command, text_path);
    return size > 0 ? fixed(8.0 * size / bytes, 3) : std::string("not installed");
  };
  std::cout << "\nbits per byte: aeth " << fixed(trainer.bits_per_byte(result), 3) << ", gzip "
            << bits("gzip -9") << ", xz " << bits("xz -9") << "\n";
  if (a.options.loss.mtp_weight > 0)
    std::cout << "multi-token prediction: next token " << fixed(result.loss(), 3) << " nats, the one after "
              << fixed(result.mtp_loss(), 3) << " nats; it agrees with the main model's own choice "
              << fixed(100.0 * train::second_token_agreement(model, trainer.validation()).share(), 1)
              << " % of the time\n";
  std::cout << "pictures: " << log->pictures() << "\n";
  demo::show_completions(model, tokenizer, split.validation.front().text);
  return ExitCode::ok;
}

template <class P>
ExitCode train_in(Arguments const& a) {
  if (a.optimizer == "sgd") return train_model<P>(a, optim::Sgd());
  if (a.optimizer == "muon") return train_model<P>(a, optim::Muon());
  return train_model<P>(a, optim::AdamW());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains a DeepSeek-V3-style model (MLA, mixture of experts, multi-token prediction) on text.");
  Arguments a;
  auto& o = a.options;
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("--data", a.source, "A text file, JSON lines (.jsonl, .ndjson), or a folder")
      ->capture_default_str();
  app.add_option("--pattern", a.patterns, "File names to take from the folder")
      ->capture_default_str()
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--field", a.field, "Field of JSON lines that holds the text")->capture_default_str();
  app.add_flag("--skip-bad-lines", a.skip_bad_lines, "Leave out bad lines of JSON lines instead of stopping");
  app.add_option("--out", a.folder, "Where tokenizer, checkpoints, metrics and pictures go")
      ->capture_default_str();
  app.add_option("--minutes", o.minutes, "Time budget of training")->capture_default_str();
  app.add_option("--steps", o.steps, "Optimizer steps; 0 = as many as fit in the time");
  app.add_option("--rate", o.learning_rate, "Peak learning rate")->capture_default_str();
  app.add_option("--precision", a.precision, "What products are computed in: fp32, bf16 or fp8")
      ->check(CLI::IsMember({"fp32", "bf16", "fp8"}))
      ->capture_default_str();
  app.add_option("--optimizer", a.optimizer,
                 "adamw, muon (the same --rate), or sgd with momentum (which wants another --rate)")
      ->check(CLI::IsMember({"adamw", "muon", "sgd"}))
      ->capture_default_str();
  app.add_option("--schedule", a.schedule,
                 "Learning rate: wsd (warm-up, constant, decay), cosine, or v3 (DeepSeek-V3's); the last two "
                 "need --steps")
      ->check(CLI::IsMember({"wsd", "cosine", "v3"}))
      ->capture_default_str();
  app.add_option("--batch", o.batch_rows, "Sequences per step")->capture_default_str();
  app.add_option("--length", o.length, "Tokens per sequence")->capture_default_str();
  app.add_option("--seed", o.seed, "Of weights and data order")->capture_default_str();
  app.add_option("--fim", a.fim_rate, "Share of documents rearranged for infilling")->capture_default_str();
  app.add_option("--validation", a.validation_share, "Share of the text for validation")
      ->capture_default_str();
  app.add_option("--bias-rate", o.bias_rate, "Step of the selection bias (balancing); 0 = off")
      ->capture_default_str();
  app.add_option("--balance-loss", o.loss.balance_weight, "Weight of the auxiliary balance loss")
      ->capture_default_str();
  app.add_option("--mtp-weight", o.loss.mtp_weight, "Weight of multi-token prediction; 0 = off")
      ->capture_default_str();
  app.add_option("--save-every", o.save_every, "Steps between checkpoints; 0 = at the end only")
      ->capture_default_str();
  app.add_option("--keep", a.keep.last, "Newest checkpoints to keep")->capture_default_str();
  app.add_option("--keep-best", a.keep.best,
                 "Checkpoints to keep beside them for the lowest bits per byte, of steps that also validate")
      ->capture_default_str();
  app.add_option(
         "--on-save-error", a.on_save_error,
         "When a checkpoint cannot be written (full disk): stop, or continue and try again at the next")
      ->check(CLI::IsMember({"stop", "continue"}))
      ->capture_default_str();
  app.add_option("--on-trouble", a.on_trouble,
                 "A batch with a spike of the loss or numbers that are not finite: stop (only at the "
                 "latter), skip it, or "
                 "rollback to a checkpoint from before it (which needs --save-every)")
      ->check(CLI::IsMember({"stop", "skip", "rollback"}))
      ->capture_default_str();
  app.add_option("--replay", a.replay,
                 "Compute the batch of a step of the run in --out again, with the run's options, and say "
                 "what it was like")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", a.threads, "0 = all cores")->check(CLI::Range(0, 1024));
  auto* const overwrite = app.add_flag("--overwrite", a.overwrite,
                                       "Start a new run in a folder that holds another one, which is lost");
  app.add_flag("--resume", a.resume, "Continue from the newest good checkpoint in --out")
      ->excludes(overwrite);
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  console::outlast_its_terminal();
  return console::guarded([&] {
    if (a.precision == "bf16") return train_in<Bf16>(a);
    if (a.precision == "fp8") return train_in<Fp8>(a);
    return train_in<Fp32>(a);
  });
}
