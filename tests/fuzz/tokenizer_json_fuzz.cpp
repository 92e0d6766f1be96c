// Any bytes as tokenizer.json: a DataError, or a tokenizer that survives saving and loading.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aeth/data/tokenizer_json.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const content(reinterpret_cast<char const*>(data), size);
  try {
    auto const tokenizer = aeth::data::parse_tokenizer_json(content, "fuzz");
    if (!(aeth::data::parse_tokenizer_json(aeth::data::to_tokenizer_json(tokenizer), "again") == tokenizer))
      std::abort();
    if (tokenizer.decode(tokenizer.encode(content, {.allow_special = true})) != content) std::abort();
  } catch (aeth::DataError const&) {
  }
  return 0;
}
