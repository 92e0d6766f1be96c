/// Building message strings from parts without <format> or <sstream> (absent or dear on the supported
/// compilers).
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace aeth {

inline void append_text(std::string& out, std::string_view part) {
  out.append(part);
}

/// A template, so that a string literal does not come here by way of pointer to bool.
template <std::same_as<bool> T>
void append_text(std::string& out, T part) {
  out.append(part ? "true" : "false");
}

template <std::integral T>
  requires(!std::same_as<T, bool> && !std::same_as<T, char>)
void append_text(std::string& out, T part) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, part).ptr);
}

inline void append_text(std::string& out, char part) {
  out.push_back(part);
}

/// Shortest decimal form that reads back as the same value; independent of the locale.
template <std::floating_point T>
void append_text(std::string& out, T part) {
  char digits[64];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, part).ptr);
}

/// All parts, one after another: `text("row ", 3, " of ", name)`.
template <class... Parts>
[[nodiscard]] std::string text(Parts const&... parts) {
  std::string out;
  (append_text(out, parts), ...);
  return out;
}

/// A floating-point number with a fixed count of decimals, for tables and progress lines.
[[nodiscard]] inline std::string fixed(double value, int decimals) {
  char digits[400];
  auto const end =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed, decimals).ptr;
  return {digits, end};
}

}  // namespace aeth
