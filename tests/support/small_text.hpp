/// Text with structure enough to learn from in seconds, and a tokenizer for it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/core/text.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/data/packing.hpp"

namespace aeth::test {

struct SmallText {
  data::Tokenizer tokenizer;
  data::TokenCorpus training, validation;
  Index validation_bytes;
};

/// Twelve documents, the last of which is for validation. Vocabulary: 320.
inline SmallText small_text(std::uint64_t seed) {
  Random random(seed, RandomUse::test);
  std::vector<data::Document> documents;
  data::BpeTrainer counts;
  for (int d = 0; d < 12; ++d) {
    std::string body;
    for (int i = 0; i < 60; ++i)
      body += text("value ", random.below(20), " plus ", random.below(20), " is a sum\n");
    counts.add(body);
    documents.push_back({text("document ", d), body});
  }
  auto tokenizer = counts.train({.vocab_size = 320});
  std::vector<data::Document> const held{documents.back()};
  documents.pop_back();
  auto training = data::pack(documents, tokenizer);
  auto validation = data::pack(held, tokenizer);
  return {std::move(tokenizer), std::move(training), std::move(validation),
          static_cast<Index>(held[0].text.size())};
}

}  // namespace aeth::test
