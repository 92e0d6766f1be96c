/// Building message strings from parts without <format> or <sstream> (absent or dear on the supported compilers).
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace aeth {

/// One part of a message: text, a character, a truth value or a number. All kinds are one type, so that the many
/// messages of the library are calls of one function and not instantiations of as many templates.
class TextPart {
 public:
  TextPart(std::string_view text) : text_(text), kind_(Kind::text) {}
  TextPart(std::string const& text) : text_(text), kind_(Kind::text) {}
  TextPart(char const* text) : text_(text), kind_(Kind::text) {}
  TextPart(char character) : signed_(character), kind_(Kind::character) {}
  /// Templates, so that nothing else converts to a truth value or a number on the way here.
  template <std::same_as<bool> T>
  TextPart(T truth) : text_(truth ? "true" : "false"), kind_(Kind::text) {}
  template <std::signed_integral T>
  TextPart(T number) : signed_(number), kind_(Kind::whole) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  TextPart(T number) : unsigned_(number), kind_(Kind::whole_unsigned) {}
  TextPart(float number) : real_(static_cast<double>(number)), kind_(Kind::single_precision) {}
  TextPart(double number) : real_(number), kind_(Kind::double_precision) {}

  /// Text that is to be written another way than it stands, by `write(out, text)` when the message is made.
  using Write = void (*)(std::string&, std::string_view);
  TextPart(std::string_view text, Write write) : text_(text), write_(write), kind_(Kind::custom) {}

  /// Numbers in the shortest decimal form that reads back as the same value; independent of the locale.
  void append_to(std::string& out) const {
    char digits[64];
    char* end = digits;
    switch (kind_) {
      case Kind::text:
        out.append(text_);
        return;
      case Kind::custom:
        write_(out, text_);
        return;
      case Kind::character:
        out.push_back(static_cast<char>(signed_));
        return;
      case Kind::whole:
        end = std::to_chars(digits, digits + sizeof digits, signed_).ptr;
        break;
      case Kind::whole_unsigned:
        end = std::to_chars(digits, digits + sizeof digits, unsigned_).ptr;
        break;
      case Kind::single_precision:
        end = std::to_chars(digits, digits + sizeof digits, static_cast<float>(real_)).ptr;
        break;
      case Kind::double_precision:
        end = std::to_chars(digits, digits + sizeof digits, real_).ptr;
        break;
    }
    out.append(digits, end);
  }

 private:
  enum class Kind { text, custom, character, whole, whole_unsigned, single_precision, double_precision };

  std::string_view text_{};
  union {
    std::int64_t signed_ = 0;
    std::uint64_t unsigned_;
    double real_;
    Write write_;
  };
  Kind kind_;
};

/// All parts, one after another.
[[nodiscard]] inline std::string join(std::initializer_list<TextPart> parts) {
  std::string out;
  for (TextPart const& part : parts) part.append_to(out);
  return out;
}

/// `text("row ", 3, " of ", name)`
template <class... Parts>
[[nodiscard]] std::string text(Parts const&... parts) {
  return join({TextPart(parts)...});
}

/// A floating-point number with a fixed count of decimals, for tables and progress lines.
[[nodiscard]] inline std::string fixed(double value, int decimals) {
  char digits[400];
  auto const end =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed, decimals).ptr;
  return {digits, end};
}

/// The same with an exponent, such as 3.00e-03.
[[nodiscard]] inline std::string scientific(double value, int decimals) {
  char digits[400];
  auto const end =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::scientific, decimals).ptr;
  return {digits, end};
}

}  // namespace aeth
