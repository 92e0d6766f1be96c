/// Documents as tokens in one array: each is bos, its tokens, eos.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/document.hpp"
#include "aeth/data/fim.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/io/hash.hpp"

namespace aeth::data {

/// N tokens of D documents, one after another.
struct TokenCorpus {
  std::vector<std::int32_t> tokens;  ///< [N]
  std::vector<Index> begins{0};      ///< [D + 1]: where each document begins; the last is N
  std::uint64_t fingerprint = 0;     ///< hash(): equal data, equal number; 0 = not sealed

  [[nodiscard]] Index documents() const noexcept { return static_cast<Index>(begins.size()) - 1; }
  [[nodiscard]] Index size() const noexcept { return static_cast<Index>(tokens.size()); }

  /// Tokens of document d in [0, D).
  [[nodiscard]] std::span<std::int32_t const> document(Index d) const noexcept {
    return std::span(tokens).subspan(to_size(begins[to_size(d)]),
                                     to_size(begins[to_size(d) + 1] - begins[to_size(d)]));
  }

  /// Ends the current document after the tokens pushed since the last one.
  void end_document() { begins.push_back(size()); }

  /// Of tokens and begins.
  [[nodiscard]] std::uint64_t hash() const noexcept {
    io::Hash64 hash;
    for (Index const begin : begins) hash.add(static_cast<std::uint64_t>(begin));
    for (std::int32_t const token : tokens) hash.add(static_cast<std::uint64_t>(token));
    return hash.value();
  }
  /// Sets the fingerprint; to be called when all documents are in. A loader of a corpus that has none computes it.
  void seal() noexcept { fingerprint = hash(); }
};

/// Throws DataError unless the documents are all of the tokens, one after another.
inline void check_documents(TokenCorpus const& corpus) {
  bool sound = !corpus.begins.empty() && corpus.begins.front() == 0 && corpus.begins.back() == corpus.size();
  for (std::size_t d = 1; sound && d < corpus.begins.size(); ++d)
    sound = corpus.begins[d - 1] <= corpus.begins[d];
  expect<DataError>(sound, "corpus: TokenCorpus::begins does not go from 0 up to its ", corpus.size(),
                    " tokens; call end_document() after the tokens of each document");
}

/// Tokenises documents in order. Document d is rearranged by fim as (seed, d) says; validation wants rate 0.
///
/// errors   DataError if the vocabulary lacks bos or eos, or if all documents are empty; as FimRule
/// cost     4 bytes of memory per token; linear time
[[nodiscard, gnu::cold]] inline TokenCorpus pack(std::span<Document const> documents,
                                                 Tokenizer const& tokenizer, FimOptions const& fim = {}) {
  SpecialTokens const special = tokenizer.special_tokens();
  expect<DataError>(
      special.bos >= 0 && special.eos >= 0,
      "packing: the vocabulary has no tokens for the begin and end of a document; use a tokenizer "
      "with V3's special tokens");
  FimRule const rule(fim, special);
  TokenCorpus corpus;
  WordCache cache;
  for (std::size_t d = 0; d < documents.size(); ++d) {
    if (documents[d].text.empty()) continue;
    corpus.tokens.push_back(special.bos);
    rule.encode(tokenizer, documents[d].text, d, corpus.tokens, cache);
    corpus.tokens.push_back(special.eos);
    corpus.end_document();
  }
  expect<DataError>(corpus.documents() > 0, "packing: ", documents.size(),
                    " documents, none with any text; check the source");
  corpus.seal();
  return corpus;
}

/// Throws DataError if a token is outside [0, vocab_size): the corpus was made for another model.
inline void check_tokens(TokenCorpus const& corpus, Index vocab_size) {
  for (std::size_t i = 0; i < corpus.tokens.size(); ++i)
    expect<DataError>(corpus.tokens[i] >= 0 && corpus.tokens[i] < vocab_size, "token ", i,
                      " of the corpus is id ", corpus.tokens[i], ", but the model has ", vocab_size,
                      " rows of embedding; use its own tokenizer or a larger vocab_size");
}

}  // namespace aeth::data
