#include "aeth/data/jsonl.hpp"

#include <chrono>
#include <string>

#include "support/catch.hpp"

using namespace aeth;
using namespace aeth::data;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("lines become documents", "[data][jsonl]") {
  JsonlReport report;
  auto const documents = parse_jsonl(
      "\xEF\xBB\xBF{\"text\": \"a\\nb\"}\r\n\r\n  \n{\"id\": 3, \"text\": \"\\u00e9\"}\n"
      "{\"text\": \"\"}\n{\"text\":\"no line end\"}",
      "f", {}, &report);
  CHECK(documents == std::vector<Document>{{"f:1", "a\nb"}, {"f:4", "é"}, {"f:6", "no line end"}});
  CHECK(report.documents == 3);
  CHECK(report.blank == 2);
  CHECK(report.empty == 1);
  CHECK(report.bad() == 0);
  CHECK(parse_jsonl("{\"body\": \"x\"}", "f", {.field = "body"}).size() == 1);
}

TEST_CASE("bad lines stop with line and byte", "[data][jsonl]") {
  std::string const good = "{\"text\":\"a\"}\n";
  auto const stops = [&](std::string const& line, char const* why) {
    CHECK_THROWS_WITH(parse_jsonl(good + line + "\n" + good, "f"),
                      ContainsSubstring("f: line 2 (byte 13)") && ContainsSubstring(why));
  };
  stops("{\"text\":", "not valid JSON");
  stops("{\"text\":\"\xFF\"}", "not valid JSON");
  stops("{\"text\":\"\\ud800\"}", "not valid JSON");
  stops("{\"text\":1e999}", "not valid JSON");
  stops("{\"text\":\"a\"} x", "not valid JSON");
  stops("[\"text\"]", "JSON array");
  stops("null", "JSON null");
  stops("{\"text\":3}", "is a JSON number");
  stops("{\"text\":null}", "is a JSON null");
  stops("{\"Text\":\"a\"}", "no field 'text'");
  CHECK_THROWS_WITH(parse_jsonl(good + "{\"text\":\"cut", "f"), ContainsSubstring("the file was cut"));
  CHECK_THROWS_WITH(parse_jsonl(good + good, "f", {.max_line_bytes = 5}), ContainsSubstring("limit is 5"));
}

TEST_CASE("bad lines can be skipped and are counted", "[data][jsonl]") {
  JsonlReport report;
  auto const documents = parse_jsonl(
      "{\"text\":\"a\"}\n{\n[]\n{\"text\":[]}\n{\"other\":1}\n{\"text\":\"bbbbbbbbbbbbbbbbbb\"}\n"
      "{\"text\":\"c\"}\n{\"tex",
      "f", {.bad_line = BadLine::skip, .max_line_bytes = 20}, &report);
  CHECK(documents.size() == 2);
  CHECK(report.invalid == 1);
  CHECK(report.wrong_type == 2);
  CHECK(report.missing_field == 1);
  CHECK(report.too_long == 1);
  CHECK(report.truncated == 1);
  CHECK(report.bad() == 6);
  CHECK_THAT(report.first_problem, ContainsSubstring("line 2 (byte 13)"));
}

TEST_CASE("content without a document is refused", "[data][jsonl]") {
  CHECK_THROWS_WITH(parse_jsonl("", "f"), ContainsSubstring("no document"));
  CHECK_THROWS_WITH(parse_jsonl("\n\n", "f"), ContainsSubstring("2 blank"));
  CHECK_THROWS_WITH(parse_jsonl("x\n", "f", {.bad_line = BadLine::skip}),
                    ContainsSubstring("1 bad") && ContainsSubstring("line 1"));
  CHECK_THROWS_AS(read_jsonl("/nonexistent/file"), IoError);
}

TEST_CASE("deep nesting and many lines are no problem", "[data][jsonl]") {
  std::string const deep = std::string(1'000'000, '[') + std::string(1'000'000, ']') + "\n";
  JsonlReport report;
  CHECK(parse_jsonl(deep + "{\"text\":\"a\"}\n", "f", {.bad_line = BadLine::skip}, &report).size() == 1);
  CHECK(report.wrong_type == 1);
  std::string const blank(20'000'000, '\n');
  CHECK(parse_jsonl(blank + "{\"text\":\"a\"}", "f").at(0).name == "f:20000001");
}

TEST_CASE("messages quote only a little of a bad line", "[data][jsonl]") {
  std::string message;
  try {
    (void)parse_jsonl("{\"" + std::string(1'000'000, 'x') + "\x01\"}", "f");
  } catch (DataError const& error) {
    message = error.what();
  }
  CHECK(message.size() > 100);
  CHECK(message.size() < 600);
  CHECK(message.find('\x01') == message.npos);
}
