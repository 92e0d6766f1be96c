/// What the monitor of a run is told.
#pragma once

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/train/spike.hpp"

namespace aeth::train {

/// What to do with a batch that is trouble.
enum class Policy {
  go_on,      ///< apply it all the same and tell
  skip,       ///< do not apply it
  roll_back,  ///< go back to a checkpoint from before it, and pass over it and the batches just before it
  stop,       ///< end the run with a NumericError
};

struct MonitorOptions {
  Policy empty_batch = Policy::stop;  ///< no token of a batch has a target
  Policy non_finite = Policy::stop;   ///< loss or gradient norm; `go_on` is not allowed
  Policy loss_spike = Policy::go_on;
  Policy gradient_spike = Policy::go_on;
  SpikeOptions loss{};                  ///< in nats per token
  SpikeOptions gradient{.least = 1.6};  ///< in logarithms of the norm: at least fivefold
  Index rollback_batches = 2;  ///< that a rollback passes over: the one that was trouble and those before it
  Index max_skips = 5;         ///< in a row; one more ends the run
  Index max_rollbacks = 10;    ///< in the whole run
  Index window = 50;           ///< steps over which diagnoses look
  Index health_every = 20;     ///< steps between measurements of all tensors; 0 = never
  double slow =
      2.0;  ///< times the usual duration of a step from which to tell; 0 = never: the clock makes no two runs alike
};

/// errors   UsageError that names the field, its value and what is allowed
[[gnu::cold]] inline void validate(MonitorOptions const& o) {
  expect<UsageError>(
      o.non_finite != Policy::go_on && o.empty_batch != Policy::go_on,
      "MonitorOptions: non_finite and empty_batch cannot be go_on, there is nothing to apply; skip, roll "
      "back or stop");
  validate(o.loss, "MonitorOptions::loss");
  validate(o.gradient, "MonitorOptions::gradient");
  expect<UsageError>(o.rollback_batches >= 1 && o.window >= 5, "MonitorOptions: rollback_batches is ",
                     o.rollback_batches, " and window is ", o.window, "; at least 1 and 5");
  expect<UsageError>(o.slow == 0.0 || o.slow > 1.0, "MonitorOptions::slow is ", o.slow,
                     "; a factor above 1, or 0 for never");
  expect<UsageError>(o.max_skips >= 0 && o.max_rollbacks >= 0 && o.health_every >= 0,
                     "MonitorOptions: max_skips, max_rollbacks and health_every must not be negative");
}

}  // namespace aeth::train
