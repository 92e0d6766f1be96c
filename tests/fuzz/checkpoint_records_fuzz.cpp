// Any bytes as the file `latest` of a folder of checkpoints: each line is a record or a notice, and the records survive
// writing and reading.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/io/checkpoint.hpp"
#include "fuzz/target.hpp"

using namespace aeth::io::detail;
using aeth::fuzz::require;

AETH_FUZZ_TARGET(checkpoint_records, content) {
  std::vector<std::string> notices, none;
  auto const records = parse_records(content, "fuzz", notices);
  auto lines = static_cast<std::size_t>(std::count(content.begin(), content.end(), '\n'));
  lines += !content.empty() && content.back() != '\n';
  require(records.size() + notices.size() == lines, "a line is neither a record nor a notice");
  for (CheckpointRecord const& record : records)
    require(record.name.find('/') == record.name.npos && step_of(record.name).has_value(),
            "a record names a file outside the folder");
  auto const copy = parse_records(records_text(records), "again", none);
  require(none.empty() && copy == records, "the records changed in writing and reading");
  return !records.empty();
}
