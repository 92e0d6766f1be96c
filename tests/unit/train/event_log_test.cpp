// Events are JSON with fixed keys, whatever their text; the file survives torn lines and continues where a checkpoint stands.
#include "aeth/train/event_log.hpp"

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "aeth/io/file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using test::TemporaryFolder;

namespace {

train::Event event(Index step) {
  return {.step = step,
          .kind = "loss_spike",
          .severity = train::Severity::warning,
          .action = train::Action::rolled_back,
          .message = "a \"quoted\" \\ message\nwith \x01 and \xC3\xA4",
          .setting = "MonitorOptions::loss_spike",
          .culprit = {"model.layers.12.mlp.gate.weight"},
          .batch = {3, 96}};
}

}  // namespace

TEST_CASE("event: a line of JSON with exactly these keys") {
  std::string const line = to_json(event(7));
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.starts_with("{\"step\":7,"));
  auto const json = nlohmann::json::parse(line);
  CHECK(json.size() == 10);
  CHECK(json["step"] == 7);
  CHECK(json["kind"] == "loss_spike");
  CHECK(json["severity"] == "warning");
  CHECK(json["action"] == "rolled_back");
  CHECK(json["message"] == event(7).message);
  CHECK(json["setting"] == "MonitorOptions::loss_spike");
  CHECK(json["layer"] == 12);
  CHECK(json["tensor"] == "model.layers.12.mlp.gate.weight");
  CHECK(json["epoch"] == 3);
  CHECK(json["row"] == 96);
  train::Event nowhere = event(1);
  nowhere.culprit = {};
  CHECK(nlohmann::json::parse(to_json(nowhere))["layer"].is_null());
  CHECK(nlohmann::json::parse(to_json(nowhere))["tensor"].is_null());
  nowhere.culprit = {"lm_head.weight"};
  CHECK(nlohmann::json::parse(to_json(nowhere))["layer"].is_null());
}

TEST_CASE("event log: a resumed run keeps what was up to its step, and no torn line") {
  TemporaryFolder const folder;
  std::string const path = folder.path + "/events.jsonl";
  {
    train::EventLog log(path);
    for (Index const step : {3, 5, 8}) log(event(step));
  }
  std::ofstream(path, std::ios::app) << "{\"step\":9,\"ki";
  {
    train::EventLog log(path, 5);
    log(event(6));
  }
  CHECK(io::read_file(path) ==
        to_json(event(3)) + '\n' + to_json(event(5)) + '\n' + to_json(event(6)) + '\n');
  { train::EventLog const log(path); }
  CHECK(io::read_file(path).empty());
  std::ofstream(path) << "something else\n";
  CHECK_THROWS_AS(train::EventLog(path, 5), IoError);
}
