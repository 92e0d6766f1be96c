#include "aeth/train/read_run.hpp"

#include <functional>

#include "aeth/io/file.hpp"
#include "aeth/train/event_log.hpp"
#include "aeth/train/metrics.hpp"
#include "aeth/train/report.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {
using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using train::parse_events;

std::vector<train::Event> some_events() {
  return {{.step = 4,
           .kind = "loss_spike",
           .severity = train::Severity::warning,
           .action = train::Action::skipped,
           .message = "a \"quoted\" line\twith \x01 in it",
           .setting = "MonitorOptions::loss_spike",
           .culprit = {"model.layers.1.mlp.gate.weight"},
           .batch = {2, 96}},
          {.step = 9, .kind = "dead_experts", .severity = train::Severity::note}};
}

TEST_CASE("events read back what was written") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/events.jsonl";
  {
    train::EventLog log(path);
    for (auto const& event : some_events()) log(event);
  }
  CHECK(parse_events(io::read_file(path), path) == some_events());
  // What a killed run leaves.
  CHECK(parse_events(io::read_file(path) + "{\"step\":12,\"ki", path) == some_events());
}

TEST_CASE("events that are damaged are refused with their line") {
  std::string const good = train::to_json(some_events()[1]) + "\n";
  auto const changed = [&](std::string const& from, std::string const& to) {
    std::string line = good;
    line.replace(line.find(from), from.size(), to);
    return good + line;
  };
  CHECK_THROWS_WITH(parse_events("7\n", "f"), ContainsSubstring("f:1: not an event"));
  CHECK_THROWS_WITH(parse_events(good + "{\n", "f"), ContainsSubstring("f:2: not valid JSON"));
  CHECK_THROWS_WITH(parse_events(changed("\"step\":9", "\"step\":\"9\""), "f"),
                    ContainsSubstring("f:2: step must be an integer"));
  CHECK_THROWS_WITH(parse_events(changed("\"step\":9", "\"step\":18446744073709551615"), "f"),
                    ContainsSubstring("f:2: step is beyond 2^53"));
  CHECK_THROWS_WITH(parse_events(changed("\"kind\"", "\"king\""), "f"),
                    ContainsSubstring("f:2: kind must be a text"));
  CHECK_THROWS_WITH(parse_events(changed("\"note\"", "\"noise\""), "f"),
                    ContainsSubstring("f:2: severity is 'noise'"));
}

TEST_CASE("the layer of a tensor is the number in its name, and nothing else is") {
  CHECK(train::Culprit{"model.layers.12.mlp.gate.weight"}.layer() == 12);
  for (char const* name : {"model.norm.weight", "model.layers.", "model.layers.x.y", "model.layers.-1.y",
                           "model.layers.3", "", "model.layers.99999999999999999999.y"})
    CHECK_FALSE(train::Culprit{name}.layer());
}

TEST_CASE("a folder is read with what it has") {
  test::TemporaryFolder const folder;
  CHECK_THROWS_WITH(train::read_run(folder.path), ContainsSubstring("metrics.csv: no such file"));
  train::MetricsWriter metrics(
      {.path = folder.path + "/metrics.csv", .format = train::MetricsFormat::csv, .columns = {"loss"}});
  metrics.append(1, std::vector<double>{3.0});
  metrics.append(2, std::vector<double>{2.0});
  io::write_file_atomic(folder.path + "/speed.csv", "step,seconds\n1,0.5\n2,1.5\n");
  auto run = train::read_run(folder.path);
  CHECK(run.title == folder.path);
  CHECK(run.cost.seconds == 1.5);
  CHECK(run.cost.tokens == 0.0);
  CHECK(run.events.empty());
  train::EventLog log(folder.path + "/events.jsonl");
  for (auto const& event : some_events()) log(event);
  io::write_file_atomic(folder.path + "/run.json",
                        R"({"title":"demo","tokens_per_step":1024,"flops_per_token":2e6})");
  io::write_file_atomic(folder.path + "/load.csv", "step,layer0.expert0,layer0.expert1\n2,10,30\n");
  run = train::read_run(folder.path);
  CHECK(run.title == "demo");
  CHECK(run.cost.tokens == 2048.0);
  CHECK(run.cost.flops == 2048.0 * 2e6);
  CHECK(run.events == some_events());
  CHECK(train::experts_of(run.load) == 2);
  CHECK_THAT(train::report_html(run), ContainsSubstring("<title>Expert load</title>"));
  io::write_file_atomic(folder.path + "/run.json", "{}");
  CHECK_THROWS_WITH(train::read_run(folder.path), ContainsSubstring("run.json: title, tokens_per_step"));
}

}  // namespace
