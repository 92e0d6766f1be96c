#include "aeth/data/pre_tokenizer.hpp"

#include <chrono>
#include <string>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/data/split_step.hpp"
#include "support/catch.hpp"

#ifndef AETH_TEST_WITHOUT_PCRE2
#include "aeth/data/pcre2_split.hpp"
#endif

using namespace aeth::data;
using Words = std::vector<std::string>;

namespace {

Words words(std::string_view text) {
  Words out;
  for (auto const word : pre_tokenize(text)) out.emplace_back(word);
  return out;
}

std::string random_text(aeth::Random& random) {
  static std::vector<char32_t> const hot = [] {
    std::vector<char32_t> codes;
    for (char32_t code = 0; code < 128; ++code) codes.push_back(code);
    for (char32_t const code : std::u32string(U"    \n\n\r\taZ19.'/+")) codes.insert(codes.end(), 8, code);
    for (char32_t const code :
         {0x85u,   0xA0u,   0xB2u,   0xE9u,   0x301u,  0x20DDu, 0x660u,   0x5D0u,   0x202Eu,
          0x200Bu, 0x2003u, 0x2028u, 0x2014u, 0x20ACu, 0x2581u, 0x3000u,  0x3001u,  0x3007u,
          0x3040u, 0x3042u, 0x3099u, 0x30FBu, 0x30FCu, 0x30A0u, 0x4E00u,  0x9FA5u,  0x9FA6u,
          0xAC00u, 0xE000u, 0xFE0Fu, 0xFF11u, 0xFF5Cu, 0xFFFFu, 0x1F600u, 0x1D7CEu, 0x10FFFFu})
      codes.insert(codes.end(), 4, code);
    return codes;
  }();
  std::string text;
  auto const length = random.below(24);
  bool const any = random.below(4) == 0;
  for (std::uint64_t i = 0; i < length; ++i) {
    char32_t code = hot[random.below(hot.size())];
    if (any && random.below(3) == 0) code = static_cast<char32_t>(random.below(0x3000));
    if (any && random.below(9) == 0) code = static_cast<char32_t>(random.below(0x110000));
    if (code >= 0xD800 && code <= 0xDFFF) code = 0xD7FF;
    append_utf8(text, code);
  }
  return text;
}

#ifndef AETH_TEST_WITHOUT_PCRE2
/// The words that PCRE2 makes of valid UTF-8.
Words words_of(Pcre2Splitter const& splitter, std::string_view text) {
  Words out;
  auto take = [&](std::string_view word) { out.emplace_back(word); };
  splitter.split(text, WordSink(take));
  return out;
}
#endif

}  // namespace

TEST_CASE("golden splits", "[data][pre_tokenizer]") {
  CHECK(words("") == Words{});
  CHECK(words("Hello world") == Words{"Hello", " world"});
  CHECK(words("a  b") == Words{"a", " ", " b"});
  CHECK(words("   ") == Words{"   "});
  CHECK(words("x   ") == Words{"x", "   "});
  CHECK(words("12345678") == Words{"123", "456", "78"});
  CHECK(words("a 1 2") == Words{"a", " ", "1", " ", "2"});
  CHECK(words("x=  42;") == Words{"x", "=", "  ", "42", ";"});
  CHECK(words("foo.bar_baz") == Words{"foo", ".bar", "_baz"});
  CHECK(words("std::vector<int>") == Words{"std", "::", "vector", "<int", ">"});
  CHECK(words("if (x) {\n\n  y;\n}") == Words{"if", " (", "x", ")", " {\n\n", " ", " y", ";\n", "}"});
  CHECK(words(" \n \n  z") == Words{" \n \n", " ", " z"});
  CHECK(words("\t\tq") == Words{"\t", "\tq"});
  CHECK(words("a\r\nb") == Words{"a", "\r\n", "b"});
  CHECK(words("\n\n12") == Words{"\n\n", "12"});
  CHECK(words("don't") == Words{"don", "'t"});
  CHECK(words("'été") == Words{"'", "été"});
  CHECK(words("'eté") == Words{"'et", "é"});
  CHECK(words("漢字かな・カナ go") == Words{"漢字かな", "・", "カナ", " go"});
  CHECK(words("한국어漢") == Words{"한국어", "漢"});
  CHECK(words("e\xCC\x81t") == Words{"e\xCC\x81t"});
  CHECK(words("\x01\x02"
              "ab\x03") == Words{"\x01",
                                 "\x02"
                                 "ab",
                                 "\x03"});
  CHECK(words("😀😀\n") == Words{"😀😀\n"});
  CHECK(words("a\xFF\xFF"
              "b") == Words{"a", "\xFF",
                            "\xFF"
                            "b"});
}

TEST_CASE("words are the text, whatever its bytes", "[data][pre_tokenizer]") {
  aeth::Random random(1, aeth::RandomUse::test);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (auto n = random.below(40); n > 0; --n) text.push_back(static_cast<char>(random.bits()));
    std::string joined;
    pre_tokenize(text, [&](std::string_view word) {
      REQUIRE(!word.empty());
      joined += word;
    });
    REQUIRE(joined == text);
  }
}

TEST_CASE("an invalid byte splits like a private-use character", "[data][pre_tokenizer]") {
  aeth::Random random(2, aeth::RandomUse::test);
  for (int round = 0; round < 2000; ++round) {
    std::string const valid = random_text(random) + "\xEE\x80\x80" + random_text(random);
    auto const swap = [](std::string s) {
      for (std::size_t at; (at = s.find("\xEE\x80\x80")) != s.npos;) s.replace(at, 3, "\xFF");
      return s;
    };
    Words expected = words(valid);
    for (auto& word : expected) word = swap(word);
    REQUIRE(words(swap(valid)) == expected);
  }
}

#ifndef AETH_TEST_WITHOUT_PCRE2
TEST_CASE("the splitter equals the regular expressions", "[data][pre_tokenizer]") {
  Pcre2Splitter const splitter(v3_pre_tokenizer()), unassigned({.splits = {{R"(\p{Cn})"}}});
  aeth::Random random(3, aeth::RandomUse::test);
  for (int round = 0; round < 60000; ++round) {
    std::string const text = random_text(random);
    if (words_of(unassigned, text).size() > 1) continue;  // may be newer than PCRE2
    INFO(text);
    REQUIRE(words(text) == words_of(splitter, text));
  }
}

TEST_CASE("the class table equals the properties of the regular expressions", "[data][pre_tokenizer]") {
  // One character between two letters shows its class by the split. Those that PCRE2 does not know may be newer.
  Pcre2Splitter const splitter(v3_pre_tokenizer()), unassigned({.splits = {{R"(\p{Cn})"}}});
  int wrong = 0, unknown = 0;
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text = "a";
    append_utf8(text, code);
    text += "b\n";
    bool const differs = words(text) != words_of(splitter, text);
    (words_of(unassigned, text).size() == 1 ? wrong : unknown) += differs;
  }
  CHECK(wrong == 0);
  CHECK(unknown < 20'000);
}
#endif

TEST_CASE("hostile inputs take linear time", "[data][pre_tokenizer]") {
  std::size_t const n = 2'000'000;  // quadratic time would be hours
  std::string mixed;
  while (mixed.size() < n) mixed += " \n";
  std::string blanks(n, ' ');
  blanks += 'x';
  for (std::string const& text :
       {std::string(10'000'000, ' '), std::string(n, '\n'), std::string(n, 'a'), std::string(n, '\''),
        std::string(n, '\xFF'), std::string(n, '\0'), std::string(n, '1'), mixed, blanks}) {
    auto const start = std::chrono::steady_clock::now();
    std::size_t total = 0;
    pre_tokenize(text, [&](std::string_view word) { total += word.size(); });
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
    CHECK(total == text.size());
    CHECK(seconds.count() < 20.0);
  }
}
