// Any bytes as the description of a configuration, such as another program's checkpoint may hold: fields, never an
// error, and no difference from itself.
#include <string>
#include <string_view>

#include "aeth/config/describe.hpp"
#include "aeth/config/differences.hpp"
#include "aeth/config/presets.hpp"
#include "fuzz/target.hpp"

using aeth::fuzz::require;

AETH_FUZZ_TARGET(config_text, content) {
  static std::string const ours = aeth::describe(aeth::presets::tiny);
  auto const fields = aeth::detail::described_fields(content);
  require(aeth::differing_fields(content, content).empty(), "a description differs from itself");
  // Each field that differs is named once, also where only one of the two has it.
  std::size_t const own = aeth::detail::described_fields(ours).size(),
                    lines = aeth::differing_fields(content, ours).size();
  require(lines <= fields.size() + own && lines + fields.size() >= own && lines + own >= fields.size(),
          "a field is missing in the differences or listed twice");
  std::size_t characters = 0;
  for (auto const& [name, value] : fields) characters += name.size() + value.size();
  require(characters <= 40 * (content.size() + 1), "the fields are much longer than the text");
  return !fields.empty();
}
