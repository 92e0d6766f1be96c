// Any bytes as tokenizer.json: a DataError, or a tokenizer that survives saving and loading, and that gives back any
// bytes it encodes.
#include <optional>
#include <string_view>

#include "aeth/data/tokenizer_json.hpp"
#include "fuzz/target.hpp"

using namespace aeth::data;
using aeth::fuzz::require;

AETH_FUZZ_TARGET(tokenizer_json, content) {
  std::optional<Tokenizer> tokenizer;
  try {
    tokenizer.emplace(parse_tokenizer_json(content, "fuzz"));
  } catch (aeth::DataError const&) {
    return false;
  }
  require(parse_tokenizer_json(to_tokenizer_json(*tokenizer), "again") == *tokenizer,
          "the tokenizer changed in saving and loading");
  for (bool const allow_special : {false, true})
    require(tokenizer->decode(tokenizer->encode(content, {.allow_special = allow_special})) == content,
            "decoding does not give back what was encoded");
  return true;
}
