#ifndef AETH_TEST_WITHOUT_PCRE2

#include "aeth/data/pcre2_split.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace aeth;
using namespace aeth::data;
using Catch::Matchers::ContainsSubstring;
using Words = std::vector<std::string>;

namespace {

Words split(PreTokenizer const& steps, std::string_view text) {
  Words out;
  auto take = [&](std::string_view word) { out.emplace_back(word); };
  pcre2_splitter(steps)->split(text, WordSink(take));
  return out;
}

Words split(std::string const& pattern, std::string_view text,
            SplitBehavior behavior = SplitBehavior::isolated, bool invert = false) {
  return split({.splits = {{pattern, behavior, invert}}}, text);
}

std::string spelled(std::string_view pattern) {
  return data::detail::Pcre2Pattern(pattern).spell();
}

}  // namespace

TEST_CASE("behaviors of a split", "[data][pcre2_split]") {
  using enum SplitBehavior;
  std::string const text = "the-final--countdown";  // the example of the tokenizers library
  CHECK(split("-", text) == Words{"the", "-", "final", "-", "-", "countdown"});
  CHECK(split("-", text, merged_with_previous) == Words{"the-", "final-", "-", "countdown"});
  CHECK(split("-", text, merged_with_next) == Words{"the", "-final", "-", "-countdown"});
  CHECK(split("-", text, contiguous) == Words{"the", "-", "final", "--", "countdown"});
  CHECK(split("-", "-a-", merged_with_previous) == Words{"-", "a-"});
  CHECK(split("-", "-a-", merged_with_next) == Words{"-a", "-"});
  CHECK(split("[a-z]+", text, isolated, true) == Words{"the", "-", "final", "--", "countdown"});
  CHECK(split("-", text, merged_with_next, true) == Words{"the-", "final-", "-", "countdown"});
  CHECK(split("-", text, removed) == Words{"the", "final", "countdown"});
  CHECK(split("[a-z]+|-", text + " ", removed, true) == Words{"the", "-", "final", "-", "-", "countdown"});
  CHECK(split("-", "") == Words{});
  CHECK(split("x", "abc") == Words{"abc"});
}

TEST_CASE("steps come one after another", "[data][pcre2_split]") {
  PreTokenizer steps{.splits = {{R"(\n)"}, {R"(\d)"}}, .prefix_space = true, .gpt2_split = true};
  CHECK(split(steps, "it's\n 12 b") == Words{" it", "'s", " \n", " ", " 1", " 2", " b"});
  CHECK(split(PreTokenizer{}, "a b\n") == Words{"a b\n"});
  CHECK(split({.prefix_space = true}, "a") == Words{" a"});
  CHECK(split({.prefix_space = true}, " a") == Words{" a"});
}

TEST_CASE("bytes that are not UTF-8 are words of their own", "[data][pcre2_split]") {
  CHECK(split("[^x]+", "ab\xFF\xC3z\xE6\xBC") == Words{"ab", "\xFF", "\xC3", "z", "\xE6", "\xBC"});
  CHECK(split({.prefix_space = true}, "\xFF") == Words{"\xFF"});
}

TEST_CASE("white space is White_Space, $ is the end of a line", "[data][pcre2_split]") {
  CHECK(split(R"(\s)", "a\u180eb") == Words{"a\u180eb"});
  CHECK(split(R"(\s+)", "a\u0085\u2003 b") == Words{"a", "\u0085\u2003 ", "b"});
  CHECK(split(R"([^\S\n]+)", "a \n\tb") == Words{"a", " ", "\n", "\t", "b"});
  CHECK(split(R"(\s+$)", "a  b \n  \nc ") == Words{"a  b", " \n  ", "\nc", " "});
  CHECK(split(R"((?i:'s|'ll))", "a'S b'LL c'\u017F") == Words{"a", "'S", " b", "'LL", " c", "'\u017F"});
}

TEST_CASE("patterns are spelled for PCRE2", "[data][pcre2_split]") {
  CHECK(spelled(R"(\p{L}+|\p{^Lu}?|\P{N}{2,3}\-\[)") == R"(\p{L}+|\p{^Lu}?|\P{N}{2,3}\-\[)");
  CHECK(spelled(R"([\s\p{Han}]\S)") == R"([\p{White_Space}\p{sc:Han}]\P{White_Space})");
  CHECK(spelled(R"(\u0041\x{1F600}+\x41)") == R"(\x{0041}\x{1F600}+\x41)");
  CHECK(spelled(R"( ?[^(\s|[.,!?])]+)") == R"( ?[^(\p{White_Space}|.,!?)]+)");
  CHECK(spelled("[]a][^]b]") == "[]a][^]b]");
  CHECK(spelled(R"([\-[b]c-])") == R"([\-bc-])");
  CHECK(spelled("[a[b]-]") == "[ab-]");
}

TEST_CASE("what PCRE2 would read in another way is refused", "[data][pcre2_split]") {
  for (char const* const pattern :
       {R"(\w)",  R"(\h)",   R"(\R)",       R"(a\b)",   R"(\1)",     R"(\K)",   R"(\xE9)", R"(\u12)",
        R"(\pL)", R"(\p{L)", "(?m)a",       "(?P<n>a)", "(*ACCEPT)", "a{,2}",   "a{2}+",   "a{2}?",
        "[a&&b]", "[a[^b]]", "[[:alpha:]]", "[a[-z]]",  "[[a-]z]",   "[a-[b]]", "[[a]-z]"}) {
    INFO(pattern);
    CHECK_THROWS_WITH(split(pattern, "a"), ContainsSubstring("not supported"));
  }
  for (char const* const pattern :
       {"(", "[", "[a[b", R"(\)", R"(a\x{)", R"(\p{Foo})", R"(\p{})", "*", "\xFF"}) {
    INFO(pattern);
    CHECK_THROWS_AS(split(pattern, "a"), DataError);
  }
  for (char const* const pattern : {"a*", "", "^", "$", "(?!a)", "a|"})
    CHECK_THROWS_WITH(split(pattern, "a"), ContainsSubstring("empty text"));
}

TEST_CASE("a pattern that takes too many steps is an error", "[data][pcre2_split]") {
  CHECK_THROWS_WITH(split("(a+a+)+[bc]", std::string(5000, 'a')), ContainsSubstring("cannot be matched"));
  // Each match alone is cheap here; all together would take hours.
  CHECK_THROWS_WITH(split("a+(?=b)|a", std::string(100'000, 'a')), ContainsSubstring("again and again"));
  // Much memory alone is none.
  CHECK(split("(?:a|b)+", std::string(1'000'000, 'a')).size() == 1);
}

#endif
