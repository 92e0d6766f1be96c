/// Loading the examples' model from whatever holds it: a folder of aeth_train, a Hugging Face folder, a GGUF file.
#pragma once

#include <filesystem>
#include <iostream>
#include <string>

#include "aeth/interchange/gguf.hpp"
#include "aeth/interchange/hugging_face.hpp"
#include "aeth/interchange/hugging_face_tokenizer.hpp"
#include "aeth/train/checkpoint.hpp"
#include "support/demo_model.hpp"

namespace demo {

[[nodiscard]] inline bool is_gguf(std::string_view path) {
  return path.ends_with(".gguf");
}

/// Fills a model from a path and says on standard error what a reader should know.
inline void load_any(Model& model, std::string const& path) {
  if (is_gguf(path)) return aeth::interchange::load_gguf(model, path);
  if (std::filesystem::is_directory(path + "/checkpoints")) {
    for (auto const& notice : aeth::train::load_checkpoint_weights(model, path + "/checkpoints"))
      std::cerr << "note: " << notice << '\n';
    return;
  }
  std::cerr << aeth::interchange::ledger_summary(aeth::interchange::load_hugging_face(model, path));
}

/// The tokenizer beside a model, or in its file.
[[nodiscard]] inline aeth::data::Tokenizer load_tokenizer(std::string const& path) {
  auto tokenizer = is_gguf(path) ? aeth::interchange::load_gguf_tokenizer(path)
                                 : aeth::interchange::load_hugging_face_tokenizer(path);
  aeth::expect<aeth::ConfigError>(tokenizer.size() <= config.vocab_size, path, ": the tokenizer has ",
                                  tokenizer.size(), " tokens, the model has ", config.vocab_size,
                                  " rows; they do not belong together");
  return tokenizer;
}

}  // namespace demo
