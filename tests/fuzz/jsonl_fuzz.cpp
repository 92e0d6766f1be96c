// Any bytes as JSON Lines: a DataError, or documents that are not empty and survive writing and reading; skipping bad
// lines gives just the documents of the lines that are good by themselves.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
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
  std::vector<std::string> good;
  std::string_view rest = content;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  while (!rest.empty()) {
    std::string_view const line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix((std::min)(line.size() + 1, rest.size()));
    try {
      // As a second line, where a byte-order mark is not the file's.
      for (auto& document : parse_jsonl('\n' + std::string(line), "line"))
        good.push_back(std::move(document.text));
    } catch (aeth::DataError const&) {
    }
  }
  require(good.size() == lenient.size(), "skipping bad lines lost or made documents");
  for (std::size_t i = 0; i < good.size(); ++i)
    require(good[i] == lenient[i].text, "skipping bad lines changed a document");
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
