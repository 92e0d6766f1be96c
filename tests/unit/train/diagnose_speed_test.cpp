// How long steps take: a stream of durations, because a real run that is slowed down would take as long.
#include "aeth/train/diagnose_speed.hpp"

#include <vector>

#include "aeth/train/monitor.hpp"
#include "support/catch.hpp"

using namespace aeth;

TEST_CASE("diagnosis: steps that take longer are noticed") {
  train::Monitor monitor({.window = 25, .slow = 2.0});
  std::vector<train::Event> events;
  monitor.record = [&](train::Event const& e) { events.push_back(e); };
  for (Index i = 1; i <= 200; ++i) monitor.timed(i, i % 7 == 0 ? 0.05 : 0.02);
  CHECK(events.empty());
  for (Index i = 201; i <= 210; ++i) monitor.timed(i, 0.05);
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == "slow");
  CHECK(events[0].severity == train::Severity::note);
}
