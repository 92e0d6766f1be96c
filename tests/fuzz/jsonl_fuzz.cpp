// Any bytes as JSON Lines: a DataError, or documents that are not empty; skipping bad lines never loses good
// ones.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "aeth/data/jsonl.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace aeth::data;
  std::string_view const content(reinterpret_cast<char const*>(data), size);
  std::vector<Document> strict, lenient;
  try {
    strict = parse_jsonl(content, "fuzz");
  } catch (aeth::DataError const&) {
  }
  try {
    lenient = parse_jsonl(content, "fuzz", {.bad_line = BadLine::skip});
  } catch (aeth::DataError const&) {
  }
  if (!strict.empty() && strict != lenient) std::abort();
  for (Document const& document : lenient)
    if (document.text.empty()) std::abort();
  return 0;
}
