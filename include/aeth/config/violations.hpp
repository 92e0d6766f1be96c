/// Run-time validation of a configuration that came from a file or a user: all broken rules in one message.
#pragma once

#include <string>
#include <string_view>

#include "aeth/config/model_config.hpp"
#include "aeth/config/rules.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/text.hpp"

namespace aeth {
namespace detail {

/// Appends one line per broken rule, with the two values that were compared.
struct ViolationList {
  std::string& out;

  template <class Left, class Right>
  void operator()(std::string_view sentence, Left left, char const* comparison, Right right) const {
    constexpr std::string_view prefix = "aeth: ";
    if (sentence.starts_with(prefix)) sentence.remove_prefix(prefix.size());
    out += text("  - ", sentence, " (", left, ' ', comparison, ' ', right, " is false)\n");
  }
};

}  // namespace detail

/// One line per broken rule of an MlaConfig, MoeConfig or ModelConfig; empty if there is none.
template <class Config>
[[nodiscard]] std::string violations(Config const& config) {
  std::string out;
  for_each_violation(config, detail::ViolationList{out});
  return out;
}

/// Throws one ConfigError that lists all broken rules; `where` names the file or option the values came from.
///
/// errors   ConfigError
inline void require_valid(ModelConfig const& config, std::string_view where) {
  int const count = count_violations(config);
  expect<ConfigError>(count == 0, where, ": the model configuration breaks ", count,
                      count == 1 ? " rule" : " rules", ":\n",
                      count == 0 ? std::string{} : violations(config));
}

}  // namespace aeth
