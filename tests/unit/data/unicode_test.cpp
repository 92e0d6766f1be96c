#include "aeth/data/unicode.hpp"

#include <string>

#include "support/catch.hpp"

using namespace aeth::data;

TEST_CASE("every code point survives UTF-8", "[data][unicode]") {
  int wrong = 0;
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    std::string bytes;
    append_utf8(bytes, code);
    Character const c = decode_utf8(bytes, 0);
    bool const surrogate = code >= 0xD800 && code <= 0xDFFF;
    wrong += surrogate ? c.code != invalid_code : c.code != code || c.length != bytes.size();
  }
  CHECK(wrong == 0);
}

TEST_CASE("bytes that are not UTF-8 are one invalid unit each", "[data][unicode]") {
  using namespace std::string_literals;
  auto const broken =
      GENERATE("\x80"s, "\xC0\x80"s, "\xC1\xBF"s, "\xE0\x80\x80"s, "\xED\xA0\x80"s, "\xF0\x80\x80\x80"s,
               "\xF4\x90\x80\x80"s, "\xF5\x80\x80\x80"s, "\xFF"s, "\xE4\xBD"s, "\xF0\x9F\x98"s);
  CHECK(count_invalid_utf8(broken) == broken.size());
  CHECK(decode_utf8(broken, 0).length == 1);
  CHECK(count_invalid_utf8(broken + "a\xC3\xA9") == broken.size());
}

TEST_CASE("classes of well-known characters", "[data][unicode]") {
  CHECK(char_class('a') == CharClass::letter);
  CHECK(char_class(U'é') == CharClass::letter);
  CHECK(char_class(U'中') == CharClass::letter);
  CHECK(char_class(0x0301) == CharClass::mark);
  CHECK(char_class('7') == CharClass::number);
  CHECK(char_class(U'²') == CharClass::number);
  CHECK(char_class(U'Ⅷ') == CharClass::number);
  CHECK(char_class('_') == CharClass::punctuation);
  CHECK(char_class(U'▁') == CharClass::symbol);
  CHECK(char_class(U'｜') == CharClass::symbol);
  CHECK(char_class('+') == CharClass::symbol);
  for (char32_t const space : {0x09u, 0x0Au, 0x0Du, 0x20u, 0x85u, 0xA0u, 0x2003u, 0x2028u, 0x3000u})
    CHECK(char_class(space) == CharClass::space);
  // U+001C and U+180E are blank to some libraries; neither has the property White_Space.
  for (char32_t const none : {0x00u, 0x1Cu, 0x180Eu, 0x200Bu, 0xE000u, 0xFFFFu, 0x10FFFFu, 0x110000u})
    CHECK(char_class(none) == CharClass::other);
  CHECK(char_class(invalid_code) == CharClass::other);
}
