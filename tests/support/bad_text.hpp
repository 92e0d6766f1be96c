/// Text that a run should not have been given.
#pragma once

#include <cstdint>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/data/packing.hpp"
#include "support/small_text.hpp"

namespace aeth::test {

/// Random documents of the given lengths, tokens from [0, vocab).
inline data::TokenCorpus random_corpus(std::vector<Index> const& lengths, int vocab, std::uint64_t seed) {
  Random random(seed, RandomUse::test);
  data::TokenCorpus corpus;
  for (Index const length : lengths) {
    for (Index i = 0; i < length; ++i)
      corpus.tokens.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab))));
    corpus.end_document();
  }
  corpus.seal();
  return corpus;
}

/// The text with a document of random tokens after its first ones: a batch that has rows of it is a spike.
inline SmallText poisoned(SmallText text, Index tokens = 500) {
  data::TokenCorpus const bad = random_corpus({tokens}, 512, 77);
  text.training.tokens.insert(text.training.tokens.end(), bad.tokens.begin(), bad.tokens.end());
  text.training.end_document();
  text.training.seal();
  return text;
}

}  // namespace aeth::test
