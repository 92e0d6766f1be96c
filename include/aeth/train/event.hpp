/// What happened in a run that its user should know, as a line of `events.jsonl`.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/detail/step_lines.hpp"

namespace aeth::train {

enum class Severity { note, warning, error };

/// What became of the batch.
enum class Action {
  none,         ///< nothing but the event: the step was done
  skipped,      ///< the step counts, but weights, moments and biases are as before it
  rolled_back,  ///< the run continues from an earlier checkpoint and passes over batches up to this one
  stopped,      ///< the run ended with an error; nothing of the step was applied
};

[[nodiscard]] constexpr std::string_view name_of(Severity severity) {
  return severity == Severity::note ? "note" : severity == Severity::warning ? "warning" : "error";
}
[[nodiscard]] constexpr std::string_view name_of(Action action) {
  return action == Action::none          ? "none"
         : action == Action::skipped     ? "skipped"
         : action == Action::rolled_back ? "rolled_back"
                                         : "stopped";
}

/// Which rows of the data a batch has: those from `row` on in the order of an epoch. With the fingerprint of the data that
/// a checkpoint records, this is the batch.
struct BatchId {
  Index epoch = 0;
  Index row = 0;
  friend bool operator==(BatchId const&, BatchId const&) = default;
};

/// The tensor that trouble is in; empty if it is in none.
struct Culprit {
  std::string tensor{};

  /// N of a name "model.layers.N.…"; of other names nothing.
  [[nodiscard]] std::optional<Index> layer() const {
    constexpr std::string_view before = "model.layers.";
    if (!tensor.starts_with(before)) return std::nullopt;
    Index number = 0;
    char const* const end = tensor.data() + tensor.size();
    auto const parsed = std::from_chars(tensor.data() + before.size(), end, number);
    bool const found = parsed.ec == std::errc() && number >= 0 && parsed.ptr != end && *parsed.ptr == '.';
    return found ? std::optional<Index>(number) : std::nullopt;
  }
  friend bool operator==(Culprit const&, Culprit const&) = default;
};

struct Event {
  Index step = 0;  ///< that the batch would make, or made
  std::string kind{};
  Severity severity = Severity::note;
  Action action = Action::none;
  std::string message{};  ///< one line: what was seen, why it may be so, what to change
  std::string setting{};  ///< the option to change
  Culprit culprit{};
  BatchId batch{};
  friend bool operator==(Event const&, Event const&) = default;
};

/// `{"step":…,"kind":…,"severity":…,"action":…,"message":…,"setting":…,"layer":…,"tensor":…,"epoch":…,"row":…}`
[[nodiscard, gnu::cold]] inline std::string to_json(Event const& event) {
  auto const quoted = [](std::string_view content) { return detail::json_string(content); };
  auto const layer = event.culprit.layer();
  std::string const& tensor = event.culprit.tensor;
  return text("{\"step\":", event.step, ",\"kind\":", quoted(event.kind),
              ",\"severity\":", quoted(name_of(event.severity)),
              ",\"action\":", quoted(name_of(event.action)), ",\"message\":", quoted(event.message),
              ",\"setting\":", quoted(event.setting),
              ",\"layer\":", layer ? text(*layer) : std::string("null"),
              ",\"tensor\":", tensor.empty() ? std::string("null") : quoted(tensor),
              ",\"epoch\":", event.batch.epoch, ",\"row\":", event.batch.row, '}');
}

}  // namespace aeth::train
