/// Spells a pattern of tokenizer.json for PCRE2, and refuses what PCRE2 would understand in another way.
///
/// The patterns are written for Oniguruma in the syntax of Ruby. What both read alike passes unchanged:
///   classes, alternatives, quantifiers, look-ahead and look-behind, (?i:…), anchors, \p{general category}
/// What means something else or is spelled otherwise is replaced:
///   \s \S           White_Space; PCRE2 would add U+180E
///   \p{Han}         \p{sc:Han}; PCRE2 would take the extensions of the script, too
///   \uHHHH          \x{HHHH}
///   […[…]…]         a class inside a class adds its members
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "aeth/core/error.hpp"
#include "aeth/core/text.hpp"
#include "aeth/data/detail/excerpt.hpp"

namespace aeth::data::detail {

/// Translates one pattern from its beginning to its end.
class Pcre2Pattern {
 public:
  explicit Pcre2Pattern(std::string_view pattern) : pattern_(pattern) {}

  /// Errors: DataError for what is refused, with the place in the pattern.
  [[nodiscard]] std::string spell() {
    // The first match of this pattern begins where white space begins; saying so spares PCRE2 a look at every
    // suffix of the run, which is quadratic.
    if (pattern_ == R"(\s+$)") return R"((?<!\p{White_Space})\p{White_Space}+$)";
    while (at_ < pattern_.size()) {
      char const c = pattern_[at_];
      if (c == '\\')
        escape();
      else if (depth_ > 0)
        in_class(c);
      else
        outside(c);
    }
    return std::move(out_);
  }

 private:
  void require(bool condition, char const* what) const {
    expect<DataError>(condition, "pattern ", Excerpt{pattern_}, ", byte ", at_, ": ", what,
                      " means something else to PCRE2 than to the library that such files are made for; "
                      "this is not supported");
  }

  [[nodiscard]] bool follows(std::string_view what) const noexcept {
    return pattern_.substr(at_, what.size()) == what;
  }
  void take(std::size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }
  void replace(std::size_t count, std::string_view with) {
    out_ += with;
    at_ += count;
  }

  void outside(char c) {
    if (c == '[') {
      depth_ = 1;
      take(follows("[^") ? 2 : 1);
      if (follows("]")) take(1);  // a member
      return;
    }
    if (c == '(' && follows("(?")) {
      static constexpr std::string_view known[] = {"(?i:", "(?:", "(?!", "(?=", "(?<!", "(?<=", "(?>"};
      for (std::string_view const group : known)
        if (follows(group)) return take(group.size());
      require(false, "this kind of group");
    }
    require(!follows("(*"), "(*");
    require(!follows("{,"), "a quantifier without a lower bound");
    require((c != '+' && c != '?') || quantifier_end_ != at_, "+ or ? after a quantifier in braces");
    take(1);
    if (c == '}') quantifier_end_ = at_;
  }

  void in_class(char c) {
    if (c == ']') {
      require(depth_ == 1 || out_.back() != '-', "- at the end of a class inside a class");
      if (--depth_ == 0) return take(1);
      replace(1, "");
      require(!follows("-") || follows("-]"), "- after a class inside a class");
      return;
    }
    require(!follows("&&"), "&& in a class");
    if (c == '[') {
      require(out_.back() != '-' || out_.ends_with("\\-"), "- before a class inside a class");
      for (char const* const inner : {"[^", "[:", "[]", "[-"})
        require(!follows(inner), "this class inside a class");
      ++depth_;
      return replace(1, "");
    }
    take(1);
  }

  void escape() {
    char const c = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    bool const letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c == 's') return replace(2, R"(\p{White_Space})");
    if (c == 'S') return replace(2, R"(\P{White_Space})");
    if (c == 'p' || c == 'P') return property();
    if (c == 'u') {
      std::string_view const digits = pattern_.substr(at_ + 2, 4);
      require(digits.size() == 4 && digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos,
              "an escape \\u without four digits");
      return replace(6, text("\\x{", digits, "}"));
    }
    require(c != 'x' || follows("\\x{") || (at_ + 2 < pattern_.size() && pattern_[at_ + 2] < '8'),
            "an escape of a byte above 0x7F");
    require(!letter || std::string_view("xrntdD").find(c) != std::string_view::npos, "this escape");
    if (follows("\\x{")) return take((std::min)(pattern_.find('}', at_), pattern_.size() - 1) + 1 - at_);
    take((std::min)(pattern_.size() - at_, std::size_t{2}));
  }

  /// \p{L}, \p{Lu} and the like are the same to both; longer names are scripts.
  void property() {
    std::size_t const begin = at_ + (follows("\\p{^") || follows("\\P{^") ? 4 : 3),
                      end = pattern_.find('}', at_);
    require(at_ + 2 < pattern_.size() && pattern_[at_ + 2] == '{' && end != pattern_.npos,
            "a property without braces");
    std::string_view const name = pattern_.substr(begin, end - begin);
    out_ += pattern_.substr(at_, begin - at_);
    if (name.size() > 2) out_ += "sc:";
    out_ += name;
    out_ += '}';
    at_ = end + 1;
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  int depth_ = 0;                   // of classes
  std::size_t quantifier_end_ = 0;  // after the last }
  std::string out_;
};

}  // namespace aeth::data::detail
