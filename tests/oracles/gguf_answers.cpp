// Writes models as GGUF files and beside each what aeth computes with it, for against_llama_cpp.py to compare:
//
//   gguf_answers OUT             NAME.gguf and NAME.safetensors for models with random weights, one per kind
//   gguf_answers OUT RUN TEXT    demo-{f32,bf16,q8_0}.gguf and demo.safetensors for the model and tokenizer
//                                in RUN, a folder of aeth_train, over the beginning of the file TEXT
//
// Each .safetensors file has `prompt`, its greedy `continuation`, `tokens`, and their `logits` [T,V]; with a tokenizer also
// `text` and `text_ids`. Not part of the tests:
//
//   g++ -std=c++20 -O2 -pthread -Iinclude -Iexamples -Itests -isystem /usr/include/eigen3 tests/oracles/gguf_answers.cpp
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "aeth/aeth.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/random.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/interchange/gguf.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/safetensors_writer.hpp"
#include "aeth/train/checkpoint.hpp"
#include "support/demo_model.hpp"
#include "support/golden_configs.hpp"

namespace {

using namespace aeth;
using Ids = std::vector<std::int32_t>;

VectorView<std::int32_t const> view(Ids const& ids) {
  return {ids.data(), static_cast<Index>(ids.size())};
}

io::TensorEntry ids(std::string name, Ids const& values) {
  return io::tensor_entry<std::int32_t>(std::move(name), {values.size()}, values);
}

template <class M>
Ids continue_greedily(M const& model, Ids const& prompt, int count) {
  infer::Session<M> session(model, 1, static_cast<Index>(prompt.size()) + count);
  Ids out, next = prompt;
  for (int i = 0; i < count; ++i) {
    auto const logits = session.append({{0, view(next)}});
    float const* const row = logits.row(0);
    next = {static_cast<std::int32_t>(std::max_element(row, row + M::config.vocab_size) - row)};
    out.push_back(next[0]);
  }
  return out;
}

template <class M>
void write_answers(M const& model, Ids const& prompt, int count, Ids const& tokens, std::string const& path,
                   std::string const& text = {}, Ids const& text_ids = {}) {
  Ids const continuation = continue_greedily(model, prompt, count);
  infer::Session<M> session(model, 1, static_cast<Index>(tokens.size()), infer::CacheForm::expanded);
  auto const logits = session.append({{0, view(tokens)}}, true);
  auto const vocabulary = static_cast<std::size_t>(M::config.vocab_size);
  std::vector<io::TensorEntry> entries{
      ids("prompt", prompt), ids("continuation", continuation), ids("tokens", tokens),
      io::tensor_entry<float>("logits", {tokens.size(), vocabulary},
                              std::span<float const>(logits.data, tokens.size() * vocabulary))};
  if (!text.empty()) {
    auto const bytes = std::as_bytes(std::span(text.data(), text.size()));
    entries.push_back({"text", io::DType::u8, {text.size()}, bytes});
    entries.push_back(ids("text_ids", text_ids));
  }
  io::write_safetensors(path, entries);
}

/// A model of random weights, large enough that its routing and attention matter.
template <ModelConfig C>
void random_model(std::string const& folder, std::string const& name) {
  Cpu cpu(1);
  Model<C, Fp32> model(cpu);
  Random random(5, RandomUse::init, 1);
  for (auto& slot : weight_slots(model)) {
    bool const matrix = slot.shape.size() == 2;
    double const scale = matrix ? 1.0 / std::sqrt(static_cast<double>(slot.shape[1])) : 0.1;
    bool const gain = slot.name.ends_with("norm.weight") || slot.name.find("layernorm") != slot.name.npos;
    for (float& v : slot.values) v = static_cast<float>(random.normal() * scale + (gain ? 1.0 : 0.0));
  }
  model.prepare();
  Ids tokens;
  for (int i = 0; i < 120; ++i) tokens.push_back((i * 37 + i * i * 11) % C.vocab_size);
  interchange::save_gguf(model, text(folder, '/', name, ".gguf"));
  write_answers(model, {tokens.begin(), tokens.begin() + 8}, 40, tokens,
                text(folder, '/', name, ".safetensors"));
}

void trained_model(std::string const& folder, std::string const& run, std::string const& text_path) {
  auto const tokenizer = data::load_tokenizer_json(run + "/tokenizer.json");
  Cpu cpu(1);
  demo::Model model(cpu);
  (void)train::load_checkpoint_weights(model, run + "/checkpoints");
  using interchange::GgufWeights;
  interchange::save_gguf(model, tokenizer, folder + "/demo-f32.gguf", {.name = "aeth demo"});
  interchange::save_gguf(model, tokenizer, folder + "/demo-bf16.gguf", {GgufWeights::bf16, "aeth demo"});
  interchange::save_gguf(model, tokenizer, folder + "/demo-q8_0.gguf", {GgufWeights::q8_0, "aeth demo"});
  expect<DataError>(interchange::load_gguf_tokenizer(folder + "/demo-f32.gguf") == tokenizer,
                    "the tokenizer changed on its way through GGUF");
  Ids const prompt = infer::completion_prompt(tokenizer, "template<typename _Tp>\n  class ");
  std::string const content = io::read_file(text_path).substr(0, 100'000);
  Ids const text_ids = tokenizer.encode(content);
  Ids tokens{tokenizer.special_tokens().bos};
  tokens.insert(tokens.end(), text_ids.begin(),
                text_ids.begin() + std::min<std::ptrdiff_t>(std::ssize(text_ids), 767));
  write_answers(model, prompt, 200, tokens, folder + "/demo.safetensors", content, text_ids);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 4) {
    trained_model(argv[1], argv[2], argv[3]);
  } else if (argc == 2) {
    random_model<presets::tiny>(argv[1], "tiny");
    random_model<presets::mini>(argv[1], "mini");
    random_model<test::v3_yarn_tiny>(argv[1], "v3-yarn-tiny");
    random_model<test::v2_lite_tiny>(argv[1], "v2-lite-tiny");
    random_model<test::v3_edge>(argv[1], "v3-edge");
  } else {
    std::cerr << "usage: gguf_answers OUT [RUN TEXT]\n";
    return 2;
  }
  return 0;
} catch (std::exception const& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
