/// Text from a model: completion and infilling, streamed in whole characters.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/utf8_stream.hpp"
#include "aeth/infer/sampler.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/ops/cross_entropy.hpp"

namespace aeth::infer {

struct GenerateOptions {
  Index max_tokens = 128;
  SamplerOptions sampler{};
  std::vector<std::string> stop{};  ///< generation ends before the first of these; it is not part of the text
  CacheForm cache = CacheForm::latent;
  Index chunk = 0;                 ///< prompt tokens per prefill step; 0 = all at once
  bool log_probabilities = false;  ///< report them, from the softmax without temperature or filters
  /// Called with each new piece of text: whole UTF-8 characters, never part of a stop string. Return false to
  /// end.
  std::function<bool(std::string_view)> stream{};
};

enum class FinishReason { length, end_of_document, stop_string, cancelled };

struct Generation {
  std::string text;
  std::vector<std::int32_t> tokens;       ///< generated, the ending special token not among them
  std::vector<double> log_probabilities;  ///< of `tokens`, natural logarithm, if asked for
  FinishReason finish = FinishReason::length;
};

namespace detail {

/// Length of the longest suffix of text that is a proper prefix of one of the stop strings.
[[nodiscard]] inline std::size_t held_for_stop(std::string_view text, std::vector<std::string> const& stop) {
  std::size_t held = 0;
  for (std::string const& s : stop)
    for (std::size_t n = s.size() < text.size() + 1 ? s.size() - 1 : text.size(); n > held; --n)
      if (text.substr(text.size() - n) == std::string_view(s).substr(0, n)) held = n;
  return held;
}

}  // namespace detail

/// Continues prompt ids. End-of-document and FIM tokens end the text.
///
/// errors   UsageError for an empty prompt, empty stop strings or bad options, or if prompt and max_tokens do
///          not fit into the model's context
template <class Model>
[[nodiscard]] Generation generate(Model const& model, data::Tokenizer const& tokenizer,
                                  std::vector<std::int32_t> const& prompt,
                                  GenerateOptions const& options = {}) {
  using T = typename Model::Exact;
  expect<UsageError>(!prompt.empty(), "generate: the prompt has no tokens; give some text, or the bos token");
  expect<UsageError>(options.max_tokens > 0, "generate: max_tokens is ", options.max_tokens,
                     "; it must be at least 1");
  for (std::string const& s : options.stop)
    expect<UsageError>(!s.empty(), "generate: a stop string is empty; it would end every text at once");
  Sampler sampler(options.sampler);
  Index const room = Model::config.max_context - static_cast<Index>(prompt.size());
  expect<UsageError>(room >= options.max_tokens, "generate: a prompt of ", prompt.size(),
                     " tokens and max_tokens = ", options.max_tokens,
                     " do not fit into the model's context of ", Model::config.max_context,
                     "; shorten one of them");
  Session<Model> session(model, 1, static_cast<Index>(prompt.size()) + options.max_tokens, options.cache);
  Index const chunk = options.chunk > 0 ? options.chunk : static_cast<Index>(prompt.size());
  MatrixView<T> logits;
  for (Index at = 0; at < static_cast<Index>(prompt.size()); at += chunk)
    logits = session.append({{0, {prompt.data() + at, min(chunk, static_cast<Index>(prompt.size()) - at)}}});

  data::SpecialTokens const special = tokenizer.special_tokens();
  Generation result;
  data::Utf8Stream characters;
  std::string pending;  // whole characters not yet streamed: they may begin a stop string
  std::vector<T> scratch;
  // Moves text out of `pending`; false if generation must end.
  auto const emit = [&](std::string_view more, bool last) {
    pending += more;
    std::size_t cut = pending.npos;
    for (std::string const& s : options.stop) cut = (std::min)(cut, pending.find(s));
    bool const stopped = cut != pending.npos;
    if (!stopped) cut = last ? pending.size() : pending.size() - detail::held_for_stop(pending, options.stop);
    std::string const ready = pending.substr(0, cut);
    pending.erase(0, cut);
    result.text += ready;
    bool const wanted = ready.empty() || !options.stream || options.stream(ready);
    if (stopped) result.finish = FinishReason::stop_string;
    if (!wanted) result.finish = FinishReason::cancelled;
    return wanted && !stopped;
  };
  for (Index i = 0; i < options.max_tokens; ++i) {
    std::int32_t const token = sampler(VectorView<T const>(logits.row(0), logits.cols), tokenizer.size());
    if (token == special.eos || token == special.fim_begin || token == special.fim_hole ||
        token == special.fim_end) {
      result.finish = FinishReason::end_of_document;
      break;
    }
    if (options.log_probabilities) {
      scratch.assign(logits.row(0), logits.row(0) + logits.cols);
      T loss{};
      ops::cross_entropy(model.backend(), MatrixView<T>(scratch.data(), 1, logits.cols),
                         VectorView<std::int32_t const>(&token, 1), T(0), &loss);
      result.log_probabilities.push_back(-static_cast<double>(loss));
    }
    result.tokens.push_back(token);
    if (!emit(characters.feed(tokenizer.token_bytes(token)), false)) return result;
    if (i + 1 < options.max_tokens) logits = session.decode({{0, {&token, 1}}});
  }
  (void)emit(characters.flush(), true);
  return result;
}

/// Ids of [bos] text.
[[nodiscard, gnu::cold]] inline std::vector<std::int32_t> completion_prompt(data::Tokenizer const& tokenizer,
                                                                            std::string_view text) {
  std::vector<std::int32_t> ids{tokenizer.special_tokens().bos};
  for (std::int32_t const id : tokenizer.encode(text)) ids.push_back(id);
  return ids;
}

/// Ids of bos, fim_begin, prefix, fim_hole, suffix, fim_end: the model writes what belongs between the two.
///
/// errors   DataError if the tokenizer has no FIM tokens
/// source   PSM order: DeepSeek-V3, arXiv:2412.19437, §4.1
[[nodiscard]] inline std::vector<std::int32_t> infill_prompt(data::Tokenizer const& tokenizer,
                                                             std::string_view prefix,
                                                             std::string_view suffix) {
  data::SpecialTokens const special = tokenizer.special_tokens();
  expect<DataError>(
      special.fim_begin >= 0 && special.fim_hole >= 0 && special.fim_end >= 0,
      "infill: the tokenizer has no fill-in-the-middle tokens; use one trained by aeth or a DeepSeek one");
  std::vector<std::int32_t> ids{special.bos, special.fim_begin};
  for (std::int32_t const id : tokenizer.encode(prefix)) ids.push_back(id);
  ids.push_back(special.fim_hole);
  for (std::int32_t const id : tokenizer.encode(suffix)) ids.push_back(id);
  ids.push_back(special.fim_end);
  return ids;
}

}  // namespace aeth::infer
