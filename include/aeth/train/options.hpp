/// What a training run is told.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/optim/schedule.hpp"
#include "aeth/train/event.hpp"
#include "aeth/train/step.hpp"

namespace aeth::train {

/// One line of a run's log.
struct Progress {
  Index step = 0;                ///< steps done; after a rollback those of the checkpoint
  Action action = Action::none;  ///< what became of the batch; `stopped` is never reported
  Index total_steps = 0;         ///< planned; 0 = not yet known, the clock decides
  StepLoss loss{};               ///< of this step's batch
  double bits_per_byte = 0.0;    ///< of the last validation; 0 before the first
  bool validated = false;        ///< whether this step validated
  double rate = 0.0;             ///< learning rate used
  double gradient_norm = 0.0;    ///< before clipping
  double tokens_per_second = 0.0;
  double seconds = 0.0;       ///< of training, over all sessions of the run
  double seconds_left = 0.0;  ///< estimate
  double max_violation =
      0.0;  ///< expert load of this batch: mean over layers of max_e load_e / mean load - 1
};

/// The defaults train `presets::mini` in minutes.
struct TrainerOptions {
  Index batch_rows = 16;        ///< B, sequences per step
  Index micro_rows = 0;         ///< sequences at once; 0 = all
  Index length = 256;           ///< T, tokens per sequence
  Index steps = 0;              ///< 0 = as many as fit in `minutes`
  double minutes = 3.0;         ///< looked at only if steps is 0
  double learning_rate = 3e-3;  ///< the peak, after warm-up
  double final_rate = 0.05;     ///< at the end, as a share of the peak
  Index warmup_steps = 40;      ///< cut to those before the rate falls
  double decay_share = 0.4;     ///< last part of the run in which the rate falls
  /// Rates of each step in place of the four values above, such as `optim::cosine_schedule` or
  /// `optim::recipe_schedule` with DeepSeek-V3's; needs `steps`.
  std::optional<optim::Schedule> schedule{};
  LossOptions loss{};
  double bias_rate = 1e-3;        ///< of the selection bias per step, gamma of DeepSeek-V3 §4.2; 0 = off
  bool isolate_documents = true;  ///< attention stays inside a document; V3 pre-training lets it cross
  Index validate_every = 100;     ///< steps; 0 = never. The run's end is not one: Trainer::validate_now()
  Index validation_batches = 8;   ///< of these validations; 0 = all
  Index save_every = 0;           ///< steps; 0 = only at the end or when stopped
  std::uint64_t seed = 0;         ///< of initialisation and data order
  std::function<void(Progress const&)> report{};  ///< called after each step, from the training thread
  std::atomic<bool> const* stop = nullptr;        ///< set by a signal handler: save and return
};

/// errors   UsageError that names the field, its value and what is allowed
[[gnu::cold]] inline void validate(TrainerOptions const& o) {
  auto const positive = [](char const* name, Index value) {
    expect<UsageError>(value > 0, "TrainerOptions::", name, " is ", value, "; it must be at least 1");
  };
  auto const not_negative = [](char const* name, Index value) {
    expect<UsageError>(value >= 0, "TrainerOptions::", name, " is ", value, "; it must not be negative");
  };
  auto const share = [](char const* name, double value) {
    expect<UsageError>(value >= 0.0 && value <= 1.0, "TrainerOptions::", name, " is ", value,
                       "; it is a share from 0 to 1");
  };
  positive("batch_rows", o.batch_rows);
  positive("length", o.length);
  constexpr Index most_tokens = 2147483647;
  expect<UsageError>(o.batch_rows <= most_tokens / o.length, "TrainerOptions: batch_rows is ", o.batch_rows,
                     " and length ", o.length, "; a batch has at most ", most_tokens, " tokens");
  not_negative("micro_rows", o.micro_rows);
  not_negative("steps", o.steps);
  not_negative("warmup_steps", o.warmup_steps);
  not_negative("validate_every", o.validate_every);
  not_negative("validation_batches", o.validation_batches);
  not_negative("save_every", o.save_every);
  expect<UsageError>(o.steps > 0 || (std::isfinite(o.minutes) && o.minutes > 0.0),
                     "TrainerOptions::minutes is ", o.minutes,
                     "; give a positive number of minutes, or steps");
  expect<UsageError>(std::isfinite(o.learning_rate) && o.learning_rate > 0.0,
                     "TrainerOptions::learning_rate is ", o.learning_rate,
                     "; a learning rate is positive and finite, such as 1e-3");
  expect<UsageError>(
      !o.schedule || o.steps > 0,
      "TrainerOptions::schedule is given without steps; its shape depends on the length of the "
      "run, so give steps in place of minutes");
  share("final_rate", o.final_rate);
  share("decay_share", o.decay_share);
  if (o.schedule) optim::validate(*o.schedule);
  expect<UsageError>(std::isfinite(o.loss.mtp_weight) && o.loss.mtp_weight >= 0.0 &&
                         std::isfinite(o.loss.balance_weight) && o.loss.balance_weight >= 0.0,
                     "TrainerOptions::loss: mtp_weight and balance_weight are ", o.loss.mtp_weight, " and ",
                     o.loss.balance_weight, "; they must be finite and not negative");
  expect<UsageError>(std::isfinite(o.bias_rate) && o.bias_rate >= 0.0, "TrainerOptions::bias_rate is ",
                     o.bias_rate, "; it must be finite and not negative");
}

}  // namespace aeth::train
