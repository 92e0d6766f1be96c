// Any bytes as the file `latest` of a run, and with their hash behind them: nothing, or the name of a generation in the
// same folder that survives writing and reading.
#include <string>
#include <string_view>

#include "aeth/io/detail/generation_folder.hpp"
#include "fuzz/target.hpp"

using namespace aeth::io;
using aeth::fuzz::require;

AETH_FUZZ_TARGET(latest, input) {
  bool accepted = false;
  for (std::string const& content :
       {std::string(input), aeth::text(input, ' ', hash_text(hash64(aeth::text(input, ' '))), '\n')}) {
    auto const latest = detail::parse_latest(content);
    if (!latest) continue;
    accepted = true;
    require(latest->name.find('/') == latest->name.npos && detail::step_of(latest->name).has_value(),
            "latest names a folder elsewhere");
    require(detail::latest_text(*latest) == content, "latest changed in writing and reading");
  }
  return accepted;
}
