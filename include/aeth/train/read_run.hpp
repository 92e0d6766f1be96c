/// Reads what a run has left in its folder, for reports. Needs nlohmann-json.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/json.hpp"
#include "aeth/train/event.hpp"
#include "aeth/train/run_record.hpp"
#include "aeth/train/step_table.hpp"

namespace aeth::train {

/// Events as `EventLog` writes them, an object per line; `file` is for messages. A last line without an end is dropped.
///
/// errors   IoError with file and line: no JSON object, a key that is missing or of another type, an unknown word
[[nodiscard, gnu::cold]] inline std::vector<Event> parse_events(std::string_view content,
                                                                std::string_view file) {
  std::vector<Event> events;
  for (Index number = 1;; ++number) {
    auto const length = content.find('\n');
    if (length == std::string_view::npos) return events;
    std::string const where = text(file, ':', number);
    io::Json const line = io::parse_json<IoError>(content.substr(0, length), where);
    content.remove_prefix(length + 1);
    expect<IoError>(line.is_object(), where, ": not an event; repair the line or remove it");
    auto const value = [&](char const* key, bool number_wanted) -> io::Json const& {
      auto const found = line.find(key);
      expect<IoError>(
          found != line.end() && (number_wanted ? found->is_number_integer() : found->is_string()), where,
          ": ", key, " must be ", number_wanted ? "an integer" : "a text", "; repair the line or remove it");
      return *found;
    };
    auto const words = [&](char const* key) { return value(key, false).get<std::string>(); };
    constexpr Index most = Index{1} << 53;
    auto const integer = [&](char const* key) {
      io::Json const& found = value(key, true);
      bool const fits = found.is_number_unsigned()
                            ? found.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                            : found.get<std::int64_t>() >= -most;
      expect<IoError>(fits, where, ": ", key, " is beyond 2^53; repair the line or remove it");
      return found.get<Index>();
    };
    Event event{.step = integer("step"),
                .kind = words("kind"),
                .message = words("message"),
                .setting = words("setting")};
    auto const choose = [&]<class E>(char const* key, std::initializer_list<E> all, E& to) {
      std::string const name = words(key);
      for (E const one : all)
        if (name_of(one) == name) return void(to = one);
      throw IoError(text(where, ": ", key, " is ", io::in_quotes(name),
                         ", which is none; repair the line or remove it"));
    };
    choose("severity", {Severity::note, Severity::warning, Severity::error}, event.severity);
    choose("action", {Action::none, Action::skipped, Action::rolled_back, Action::stopped}, event.action);
    event.batch = {integer("epoch"), integer("row")};
    if (auto const tensor = line.find("tensor"); tensor != line.end() && !tensor->is_null())
      event.culprit.tensor = words("tensor");
    events.push_back(std::move(event));
  }
}

/// The files of a run's folder, all of them optional but the first: metrics.csv, speed.csv, load.csv, bias.csv, health.csv (see
/// RunRecord), events.jsonl, and run.json with title, tokens_per_step, flops_per_token. A run that goes on or was killed can
/// be read too.
///
/// errors   IoError for a folder without metrics, and what cannot be read
[[nodiscard, gnu::cold]] inline RunRecord read_run(std::string const& folder) {
  constexpr std::uint64_t limit = std::uint64_t{1} << 30;
  auto const content = [&](char const* name, std::string& path) -> std::string {
    path = text(folder, '/', name);
    return io::path_exists(path) ? io::read_file(path, limit) : std::string();
  };
  RunRecord run{.title = folder};
  std::string path, csv = content("metrics.csv", path);
  expect<IoError>(!csv.empty(), path, ": no such file, or it is empty; is this the folder of a run?");
  run.metrics = parse_step_table(csv, path);
  struct Table {
    char const* name;
    StepTable* to;
  };
  for (Table const& table : {Table{"speed.csv", &run.speed}, Table{"load.csv", &run.load},
                             Table{"bias.csv", &run.bias}, Table{"health.csv", &run.health}}) {
    csv = content(table.name, path);
    *table.to = parse_step_table(csv, path);
  }
  csv = content("events.jsonl", path);
  run.events = parse_events(csv, path);
  auto const* const seconds = run.speed.find("seconds");
  if (seconds && !seconds->empty() && std::isfinite(seconds->back())) run.cost.seconds = seconds->back();
  csv = content("run.json", path);
  if (csv.empty()) return run;
  io::Json const facts = io::parse_json<IoError>(csv, path);
  expect<IoError>(
      facts.is_object() && facts.contains("title") && facts["title"].is_string() &&
          facts.contains("tokens_per_step") && facts["tokens_per_step"].is_number() &&
          facts.contains("flops_per_token") && facts["flops_per_token"].is_number(),
      path, ": title, tokens_per_step and flops_per_token are expected; remove the file to do without it");
  run.title = facts["title"].get<std::string>();
  double const steps = run.metrics.steps.empty() ? 0.0 : run.metrics.steps.back();
  run.cost.tokens = steps * facts["tokens_per_step"].get<double>();
  run.cost.flops = run.cost.tokens * facts["flops_per_token"].get<double>();
  return run;
}

}  // namespace aeth::train
