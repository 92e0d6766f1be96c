// Any bytes as the events of a run: an IoError, or events that survive writing and reading.
#include <string>
#include <string_view>

#include "aeth/train/read_run.hpp"
#include "fuzz/target.hpp"

using aeth::fuzz::require;

AETH_FUZZ_TARGET(events, content) {
  std::vector<aeth::train::Event> events;
  try {
    events = aeth::train::parse_events(content, "fuzz");
  } catch (aeth::IoError const&) {
    return false;
  }
  std::string again;
  for (auto const& event : events) again += aeth::train::to_json(event) + '\n';
  require(aeth::train::parse_events(again, "again") == events, "an event changed in writing and reading");
  return !events.empty();
}
