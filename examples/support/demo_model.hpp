/// The model that the training and generation examples share.
#pragma once

#include <iostream>
#include <string>
#include <string_view>

#include "aeth/aeth.hpp"

namespace demo {

inline constexpr aeth::ModelConfig config = aeth::presets::mini;
using Model = aeth::Model<config, aeth::Fp32>;

/// What was found to train it well in a few minutes on two cores.
[[nodiscard]] inline aeth::train::TrainerOptions options() {
  return {};
}

inline void show(std::string_view title, std::string_view before, std::string_view made,
                 std::string_view after = "") {
  std::cout << "\n--- " << title << "\n" << before << "\033[7m" << made << "\033[0m" << after << "\n";
}

/// Two completions and one infilling, greedy, so that equal runs print equal text.
inline void show_completions(Model const& model, aeth::data::Tokenizer const& tokenizer,
                             std::string_view unseen) {
  aeth::infer::GenerateOptions options{.max_tokens = 60, .sampler = {.temperature = 0.0}};
  for (std::string_view const prompt : {"template<typename _Tp>\n  class ", "#ifndef _GLIBCXX_"}) {
    auto const made =
        aeth::infer::generate(model, tokenizer, aeth::infer::completion_prompt(tokenizer, prompt), options);
    show("completion", prompt, made.text);
  }
  std::size_t const middle = unseen.size() / 2;
  std::string_view const prefix = unseen.substr(middle - std::min<std::size_t>(middle, 200), 200);
  std::string_view const suffix = unseen.substr(std::min(middle + 60, unseen.size()), 200);
  auto const made =
      aeth::infer::generate(model, tokenizer, aeth::infer::infill_prompt(tokenizer, prefix, suffix), options);
  show("infilling, in a file not trained on", prefix, made.text, suffix);
}

}  // namespace demo
