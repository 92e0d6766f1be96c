#include "aeth/data/nfc.hpp"

#include <chrono>
#include <string>

#include "support/catch.hpp"

using namespace aeth::data;

namespace {

std::string nfc(std::string_view text) {
  std::string buffer;
  return std::string(to_nfc(text, buffer));
}

}  // namespace

TEST_CASE("normalization form C of known examples", "[data][nfc]") {
  CHECK(nfc("") == "");
  CHECK(nfc("plain é 漢字 한국어 😀") == "plain é 漢字 한국어 😀");
  CHECK(nfc("e\u0301") == "é");
  CHECK(nfc("xe\u0301y\u0301z") == "xéýz");
  CHECK(nfc("\u212B\u2126\u2000") == "\u00C5\u03A9\u2002");  // one character for another
  CHECK(nfc("\u1E9B\u0323") == "\u1E9B\u0323");              // the annex's own example
  CHECK(nfc("\u0044\u0307\u0323") == "\u1E0C\u0307");        // marks sorted, then joined
  CHECK(nfc("\u0958") == "\u0915\u093C");                    // never joined
  CHECK(nfc("\u1112\u1161\u11AB\u1100\u1173\u11AF") == "\uD55C\uAE00");
  CHECK(nfc("\uAC00\u11A8\u11A7") == "\uAC01\u11A7");
  CHECK(nfc("a\u0315\u0300\u05AE\u0300b") == "\u00E0\u05AE\u0300\u0315b");
  CHECK(nfc("\u0301a\u0301") == "\u0301á");
  CHECK(nfc("\u09C7\u0300\u09BE") == "\u09C7\u0300\u09BE");  // a mark between keeps them apart
}

TEST_CASE("bytes that are not UTF-8 stay and keep their neighbours apart", "[data][nfc]") {
  CHECK(nfc("e\xFF\u0301"
            "e\u0301\xC3") == "e\xFF\u0301é\xC3");
  CHECK(nfc("\xFF\u0301") == "\xFF\u0301");
}

TEST_CASE("normal forms stay as they are", "[data][nfc]") {
  int wrong = 0;
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text = "a";
    append_utf8(text, code);
    text += "\u0327\u0301";
    std::string const once = nfc(text);
    wrong += nfc(once) != once || count_invalid_utf8(once) != 0;
  }
  CHECK(wrong == 0);
}

TEST_CASE("many marks take no quadratic time", "[data][nfc]") {
  std::string marks = "a";
  while (marks.size() < 4'000'000) marks += "\u0301\u0323";
  auto const start = std::chrono::steady_clock::now();
  CHECK(nfc(marks).size() > 3'900'000);
  CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 30.0);
}
