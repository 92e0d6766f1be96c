/// Fill-in-the-middle: a document is cut in three, and the middle is moved to the end, so that a
/// left-to-right model learns to write what fits between two texts.
///
/// source   Bavarian et al. 2022, arXiv:2207.14255 (prefix-suffix-middle order, character-level cuts);
///          rate and tokens: DeepSeek-V3, arXiv:2412.19437, §4.1
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/random.hpp"
#include "aeth/data/tokenizer.hpp"

namespace aeth::data {

struct FimOptions {
  double rate = 0.0;       ///< share of documents rearranged, 0 to 1; DeepSeek-V3 uses 0.1
  std::uint64_t seed = 0;  ///< of the choice and the cuts
};

/// A document in three parts: prefix + middle + suffix is the text.
struct FimSplit {
  std::string_view prefix, middle, suffix;
};

/// Two random cuts, uniform over the bytes and then moved back to the beginning of a character.
[[nodiscard]] inline FimSplit fim_split(std::string_view text, Random& random) noexcept {
  auto const cut = [&] {
    auto at = static_cast<std::size_t>(random.below(text.size() + 1));
    for (int back = 0; back < 3 && at > 0 && at < text.size() && (text[at] & 0xC0) == 0x80; ++back) --at;
    return at;
  };
  std::size_t low = cut(), high = cut();
  if (low > high) std::swap(low, high);
  return {text.substr(0, low), text.substr(low, high - low), text.substr(high)};
}

/// Whether and how document number `document` is rearranged; a pure function of (seed, document).
class FimRule {
 public:
  /// Errors: UsageError for a rate outside [0, 1]; DataError if the rate is not 0 and the vocabulary lacks
  /// one of the three tokens.
  FimRule(FimOptions const& options, SpecialTokens const& special) : options_(options), special_(special) {
    expect<UsageError>(options.rate >= 0.0 && options.rate <= 1.0, "fim: rate is ", options.rate,
                       "; it is a share of documents, from 0 to 1");
    expect<DataError>(
        options.rate == 0.0 || (special.fim_begin >= 0 && special.fim_hole >= 0 && special.fim_end >= 0),
        "fim: the vocabulary has no fill-in-the-middle tokens; set the rate to 0 or use a tokenizer that has "
        "them");
  }

  /// Appends a document's tokens, without bos and eos: rearranged as begin, prefix, hole, suffix, end,
  /// middle, or as they are. Returns whether they were rearranged.
  bool encode(Tokenizer const& tokenizer, std::string_view text, std::uint64_t document,
              std::vector<std::int32_t>& tokens, WordCache& cache) const {
    Random random(options_.seed, RandomUse::fim, document);
    if (random.uniform() >= options_.rate) {
      tokenizer.encode(text, tokens, cache);
      return false;
    }
    FimSplit const split = fim_split(text, random);
    tokens.push_back(special_.fim_begin);
    tokenizer.encode(split.prefix, tokens, cache);
    tokens.push_back(special_.fim_hole);
    tokenizer.encode(split.suffix, tokens, cache);
    tokens.push_back(special_.fim_end);
    tokenizer.encode(split.middle, tokens, cache);
    return true;
  }

 private:
  FimOptions options_;
  SpecialTokens special_;
};

}  // namespace aeth::data
