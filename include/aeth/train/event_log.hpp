/// The events of a run in a file, usually `events.jsonl` in the run's folder.
#pragma once

#include <string>
#include <utility>

#include "aeth/core/math.hpp"
#include "aeth/train/detail/step_lines.hpp"
#include "aeth/train/event.hpp"

namespace aeth::train {

/// Writes each event as a line of JSON when it happens: `monitor.record = std::ref(log)`.
class EventLog {
 public:
  /// Creates the file, or with resume_after reopens it, without the events past that step and without a torn line: a run
  /// that continues at `step` gives `monitor.recorded_until(step)`.
  ///
  /// errors   IoError for a file that cannot be used
  explicit EventLog(std::string path, Index resume_after = -1) : lines_(std::move(path), "events") {
    lines_.open(resume_after);
  }

  /// Errors: IoError for a full disk.
  void operator()(Event const& event) const { lines_.append(to_json(event)); }

 private:
  detail::StepLines lines_;
};

}  // namespace aeth::train
