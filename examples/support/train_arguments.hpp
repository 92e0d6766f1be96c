/// The command line of the training example.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aeth/data/text_source.hpp"
#include "aeth/optim/recipe_schedule.hpp"
#include "aeth/train/monitor_options.hpp"
#include "support/console.hpp"
#include "support/demo_model.hpp"

namespace demo {

/// What a training run was asked for.
struct TrainArguments {
  std::string source = console::cxx_headers();
  std::string folder = "out/demo";
  std::vector<std::string> patterns{
      "*.h",  "*.hpp", "*.tcc", "*.c",    "*.cc", "*.cpp",   "*.py",     "*.txt",
      "*.md", "*.rs",  "*.go",  "*.java", "*.js", "*.jsonl", "*.ndjson", std::string(aeth::io::no_extension)};
  aeth::train::TrainerOptions options = demo::options();
  aeth::io::KeepOptions keep;
  std::string on_save_error = "stop";
  std::string on_trouble = "stop";
  aeth::Index replay = 0;
  std::string precision = "fp32", optimizer = "adamw", schedule = "wsd";
  double validation_share = 0.05, fim_rate = 0.1;
  std::string field = "text";
  int threads = 0;
  bool resume = false, overwrite = false, skip_bad_lines = false;
};

/// The rates of each step, or none where the trainer's own warm-up, constant, decay is wanted.
inline std::optional<aeth::optim::Schedule> chosen_schedule(TrainArguments const& a) {
  auto const& o = a.options;
  if (a.schedule == "wsd") return std::nullopt;
  aeth::expect<aeth::UsageError>(o.steps > 0, "--schedule ", a.schedule,
                                 " needs the length of the run; give --steps in place of --minutes");
  if (a.schedule == "cosine")
    return aeth::optim::cosine_schedule({.peak = o.learning_rate,
                                         .floor = o.learning_rate * o.final_rate,
                                         .warmup_steps = aeth::min(o.warmup_steps, o.steps),
                                         .total_steps = o.steps});
  return aeth::optim::recipe_schedule(aeth::presets::deepseek_v3_recipe,
                                      {.total_steps = o.steps,
                                       .warmup_steps = aeth::min(o.warmup_steps, o.steps / 2),
                                       .peak = o.learning_rate});
}

/// What the trainer is told, checked.
inline aeth::train::TrainerOptions trainer_options(TrainArguments const& a) {
  aeth::expect<aeth::DataError>(
      !a.source.empty(),
      "no C++ library headers below /usr/include/c++; name a text file or folder with --data");
  auto options = a.options;
  options.schedule = chosen_schedule(a);
  aeth::train::validate(options);
  return options;
}

/// Without a policy of their own, spikes are told and learned from; numbers that are not finite end the run.
inline aeth::train::MonitorOptions monitor_options(std::string const& on_trouble) {
  aeth::train::MonitorOptions o;
  if (on_trouble != "stop")
    o.empty_batch = o.non_finite = o.loss_spike = o.gradient_spike =
        on_trouble == "skip" ? aeth::train::Policy::skip : aeth::train::Policy::roll_back;
  return o;
}

/// Reads the command line; returns whether to go on, else `code` is what to exit with.
inline bool parse(TrainArguments& a, int argc, char** argv, int& code) {
  CLI::App app("Trains a DeepSeek-V3-style model (MLA, mixture of experts, multi-token prediction) on text.");
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
  return console::parse(app, argc, argv, code);
}

}  // namespace demo
