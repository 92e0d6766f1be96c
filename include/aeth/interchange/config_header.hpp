/// A configuration that came from a file as the C++ header that compiles it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "aeth/config/describe.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/text.hpp"

namespace aeth::interchange {

/// The text of a header with `inline constexpr aeth::ModelConfig NAME` and the model card as a comment.
///
/// errors   UsageError if the name is no identifier
[[nodiscard]] inline std::string config_header(ModelConfig const& config, std::string_view name,
                                               std::string_view origin) {
  auto const is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  bool const identifier =
      !name.empty() && is_letter(name[0]) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
  expect<UsageError>(identifier, "config header: '", name,
                     "' is no C++ identifier; use letters, digits and _");
  std::string card = card_table(config, (std::min)(config.max_context, 4096)), comment;
  for (std::size_t at = 0; at < card.size();) {
    std::size_t const end = (std::min)(card.find('\n', at), card.size());
    comment += "//   " + card.substr(at, end - at) + '\n';
    at = end + 1;
  }
  std::string source(origin.substr(0, 200));
  std::replace_if(
      source.begin(), source.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, '?');
  return text(
      "// Made from ", source, ".\n//\n", comment,
      "#pragma once\n\n#include \"aeth/config/model_config.hpp\"\n\ninline constexpr aeth::ModelConfig ",
      name, " = ", describe(config), ";\n");
}

}  // namespace aeth::interchange
