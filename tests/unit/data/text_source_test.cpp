#include "aeth/data/text_source.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using namespace aeth::data;
using Catch::Matchers::ContainsSubstring;

namespace {

struct Folder : aeth::test::TemporaryFolder {
  std::string write(std::string const& name, std::string_view content) const {
    std::string file_path = path + "/" + name;
    io::write_file_atomic(file_path, content);
    return file_path;
  }
};

std::string message_of(std::string const& path, TextSourceOptions const& options = {}) {
  return test::message_of<DataError>([&] { (void)read_text_source(path, options); });
}

}  // namespace

TEST_CASE("each line of JSON Lines is a document", "[data][text_source]") {
  Folder const folder;
  std::string const lines = folder.write("a.jsonl",
                                         "{\"text\": \"one\"}\n\n{\"text\": \"\"}\n{\"text\": "
                                         "\"two\"}\n{\"text\": \"one\"}\n{\"text\":\"\\u0000\"}\n");
  SourceReport report;
  auto const documents = read_text_source(lines, {}, &report);
  CHECK(documents == std::vector<Document>{{lines + ":1", "one"}, {lines + ":4", "two"}});
  CHECK(report == SourceReport{.documents = 2, .bytes = 6, .empty = 1, .binary = 1, .duplicates = 1});
  CHECK(
      read_text_source(folder.write("b.ndjson", "{\"body\": \"x\"}"), {.jsonl = {.field = "body"}}).size() ==
      1);
  // The name decides: the same content as a text file is one document.
  CHECK(read_text_source(folder.write("a.txt", "{\"text\": \"one\"}\n{}\n")).size() == 1);
}

TEST_CASE("text files and JSON Lines of a folder go together", "[data][text_source]") {
  Folder const folder;
  (void)folder.write("a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  (void)folder.write("b.txt", "two");
  (void)folder.write("c.txt", "three");
  (void)folder.write("d.jsonl", "");
  (void)folder.write("e.jsonl", "\n\n");
  (void)folder.write("f.jsonl", "{\"text\": \"" + std::string(2000, 'f') + "\"}\n");
  (void)folder.write("g.txt", std::string(2000, 'g'));
  SourceReport report;
  auto const documents = read_text_source(
      folder.path, {.files = {.patterns = {"*.txt", "*.jsonl"}, .max_file_bytes = 1000}}, &report);
  std::vector<std::string> names;
  for (auto const& document : documents) names.push_back(document.name.substr(folder.path.size() + 1));
  CHECK(names == std::vector<std::string>{"a.jsonl:1", "a.jsonl:2", "c.txt", "f.jsonl:1"});
  CHECK(report == SourceReport{.documents = 4, .bytes = 2011, .empty = 2, .too_large = 1, .duplicates = 1});
  CHECK(read_text_source(folder.path).size() == 5);  // both kinds are found without naming patterns
  CHECK(read_text_source(folder.path, {.files = {.patterns = {"*.jsonl"}}}).size() == 3);
  CHECK_THAT(message_of(folder.path, {.files = {.patterns = {"*.ndjson"}}}),
             ContainsSubstring("matches *.ndjson"));
}

TEST_CASE("bad lines name file and line, or are left out", "[data][text_source]") {
  Folder const folder;
  std::string const bad =
      folder.write("bad.jsonl", "{\"text\": \"one\"}\n{\"text\": \n{\"other\": 1, \"b\": 2}\n");
  CHECK_THAT(message_of(bad), ContainsSubstring(bad + ": line 2 (byte 16)"));
  CHECK_THAT(message_of(folder.path, {.files = {.patterns = {"*"}}}), ContainsSubstring(bad + ": line 2"));
  TextSourceOptions skip;
  skip.jsonl.bad_line = BadLine::skip;
  SourceReport report;
  CHECK(read_text_source(bad, skip, &report).size() == 1);
  CHECK(report.bad_lines == 2);
  CHECK_THAT(report.first_problem, ContainsSubstring("line 2"));

  std::string const fields = folder.write("fields.jsonl", "{\"other\": 1, \"b\": 2}\n");
  CHECK_THAT(message_of(fields), ContainsSubstring("no field 'text' (it has: b, other)"));
  CHECK_THAT(message_of(fields, skip), ContainsSubstring("no text in 1 files") &&
                                           ContainsSubstring("1 bad lines") &&
                                           ContainsSubstring("First problem: " + fields + ": line 1"));
  CHECK_THAT(message_of(folder.write("empty.jsonl", "")), ContainsSubstring("1 empty"));
  CHECK_THAT(message_of(folder.write("blank.jsonl", "\n\n")), ContainsSubstring("no text in 1 files"));
}

TEST_CASE("JSON Lines beyond their limit are refused, not left out", "[data][text_source]") {
  Folder const folder;
  std::string const lines = folder.write("a.jsonl", "{\"text\": \"one\"}\n");
  TextSourceOptions small;
  small.jsonl.max_file_bytes = 10;
  CHECK_THROWS_AS(read_text_source(lines, small), IoError);
  CHECK_THROWS_AS(read_text_source(folder.path + "/none.jsonl"), IoError);
}
