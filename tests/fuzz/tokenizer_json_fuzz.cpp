// Any bytes as tokenizer.json: a DataError, or a tokenizer that survives saving and loading, and that gives back any
// bytes it encodes unless it says that it changes them.
#include <algorithm>
#include <optional>
#include <string_view>

#include "aeth/data/pcre2_split.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "fuzz/target.hpp"

using namespace aeth::data;
using aeth::fuzz::require;

namespace {

/// Whether the vocabulary changes text, or added tokens take white space that they do not spell.
bool changes(Vocabulary const& v, bool allow_special) {
  if (v.pre_tokenizer.prefix_space || v.normalization != Normalization::none) return true;
  auto const& splits = v.pre_tokenizer.splits;
  if (std::any_of(splits.begin(), splits.end(),
                  [](auto const& s) { return s.behavior == SplitBehavior::removed; }))
    return true;
  return allow_special && std::any_of(v.added.begin(), v.added.end(),
                                      [](auto const& token) { return token.lstrip || token.rstrip; });
}

}  // namespace

AETH_FUZZ_TARGET(tokenizer_json, content) {
  std::optional<Tokenizer> tokenizer;
  try {
    tokenizer.emplace(parse_tokenizer_json(content, "fuzz", pcre2_splitter));
  } catch (aeth::DataError const&) {
    return false;
  }
  Vocabulary const& v = tokenizer->vocabulary();
  require(parse_tokenizer_json(to_tokenizer_json(*tokenizer), "again", pcre2_splitter) == *tokenizer,
          "the tokenizer changed in saving and loading");
  for (bool const allow_special : {false, true}) {
    EncodeOptions const options{.allow_special = allow_special};
    std::vector<std::int32_t> ids;
    try {
      ids = tokenizer->encode(content, options);
    } catch (aeth::DataError const&) {
      continue;  // a byte without a token, or a pattern that takes too many steps
    }
    if (!changes(v, allow_special))
      require(tokenizer->decode(ids) == content, "decoding does not give back what was encoded");
    std::vector<std::int32_t> around = v.before;
    around.insert(around.end(), ids.begin(), ids.end());
    around.insert(around.end(), v.after.begin(), v.after.end());
    require(tokenizer->encode(content, {.allow_special = allow_special, .add_around = true}) == around,
            "tokens around a text change those inside");
  }
  return true;
}
