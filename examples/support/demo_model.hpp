/// The model that the training, generation and conversion examples share.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>

#include "aeth/aeth.hpp"

#ifdef AETH_MODEL_HEADER
#include AETH_MODEL_HEADER
#endif

namespace demo {

/// The demonstration's, or the one of a header that aeth_inspect made.
#ifdef AETH_MODEL_HEADER
inline constexpr aeth::ModelConfig config = ::model_config;
#else
inline constexpr aeth::ModelConfig config = aeth::presets::micro;
#endif
template <class P>
using ModelIn = aeth::Model<config, P>;
/// What a checkpoint is loaded into, whatever it was trained in: it holds the master weights.
using Model = ModelIn<aeth::Fp32>;

/// What was found to train it well in a few minutes on two cores.
[[nodiscard]] inline aeth::train::TrainerOptions options() {
  return {.batch_rows = 4,
          .length = 256,
          .learning_rate = 4e-3,
          .loss = {.mtp_weight = 0.1},
          .validate_every = 200,
          .save_every = 500};
}

inline void show(std::string_view title, std::string_view before, std::string_view made,
                 std::string_view after = "") {
  bool const terminal = isatty(STDOUT_FILENO) != 0;
  std::cout << "\n--- " << title << "\n"
            << before << (terminal ? "\033[7m" : "[[") << made << (terminal ? "\033[0m" : "]]") << after
            << "\n";
}

/// Two completions and one infilling, greedy, so that equal runs print equal text.
template <class M>
void show_completions(M const& model, aeth::data::Tokenizer const& tokenizer, std::string_view unseen) {
  aeth::infer::GenerateOptions options{.max_tokens = 60, .sampler = {.temperature = 0.0}};
  for (std::string_view const prompt : {"template<typename _Tp>\n  class ", "#ifndef _GLIBCXX_"}) {
    auto const made =
        aeth::infer::generate(model, tokenizer, aeth::infer::completion_prompt(tokenizer, prompt), options);
    show("completion", prompt, made.text);
  }
  // The gap is about 60 bytes in the middle; cuts move back to the beginning of a character.
  auto const cut = [&](std::size_t at) {
    for (at = std::min(at, unseen.size()); at > 0 && at < unseen.size() && (unseen[at] & 0xC0) == 0x80;) --at;
    return at;
  };
  std::size_t const middle = cut(unseen.size() / 2), begin = cut(middle - std::min<std::size_t>(middle, 200));
  std::size_t const after = cut(middle + 60), end = cut(after + 200);
  std::string_view const prefix = unseen.substr(begin, middle - begin);
  std::string_view const suffix = unseen.substr(after, end - after);
  auto const made =
      aeth::infer::generate(model, tokenizer, aeth::infer::infill_prompt(tokenizer, prefix, suffix), options);
  show("infilling, in a file not trained on", prefix, made.text, suffix);
}

}  // namespace demo
