// Any bytes as JSON Lines: a DataError, or documents that are not empty and survive writing and reading; skipping bad
// lines never loses good ones.
#include <string>
#include <string_view>
#include <vector>

#include "aeth/data/jsonl.hpp"
#include "fuzz/target.hpp"

using namespace aeth::data;
using aeth::fuzz::require;

AETH_FUZZ_TARGET(jsonl, content) {
  std::vector<Document> strict, lenient;
  JsonlReport report;
  try {
    strict = parse_jsonl(content, "fuzz");
  } catch (aeth::DataError const&) {
  }
  try {
    lenient = parse_jsonl(content, "fuzz", {.bad_line = BadLine::skip}, &report);
  } catch (aeth::DataError const&) {
  }
  require(strict.empty() || strict == lenient, "what to do with bad lines changes good ones");
  require(strict.empty() || report.bad() == 0, "a bad line was accepted");
  if (lenient.empty()) return false;
  std::string again;
  for (Document const& document : lenient) {
    require(!document.text.empty(), "a document is empty");
    again += nlohmann::json{{"text", document.text}}.dump() + '\n';
  }
  auto const copy = parse_jsonl(again, "again");
  require(copy.size() == lenient.size(), "a document was lost in writing and reading");
  for (std::size_t i = 0; i < copy.size(); ++i)
    require(copy[i].text == lenient[i].text, "a document changed in writing and reading");
  return true;
}
