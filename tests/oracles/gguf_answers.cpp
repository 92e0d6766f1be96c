// Writes models as GGUF files and beside each what aeth computes with it, for against_llama_cpp.py to compare:
//
//   gguf_answers OUT             NAME.gguf and NAME.safetensors for models with random weights, one per kind
//   gguf_answers OUT RUN TEXT    demo-{f32,bf16,q8_0}.gguf and demo.safetensors for the model and tokenizer
//                                in RUN, a folder of aeth_train, over the file TEXT; prints what rounding the
//                                weights changes
//
// Each .safetensors file has `prompt`, its greedy `continuation`, `tokens`, and their `logits` [T,V]; with a tokenizer also
// `text`, `text_ids` of its beginning, and `losses` [R,T-1] of `rows` [R,T], which are all of it. Not part of the tests:
//
//   g++ -std=c++20 -O2 -pthread -Iinclude -Iexamples -Itests -isystem /usr/include/eigen3 tests/oracles/gguf_answers.cpp
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <iostream>
#include <numeric>
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
#include "aeth/interchange/hugging_face.hpp"
#include "aeth/interchange/to_hugging_face.hpp"
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
    auto const logits = i == 0 ? session.append({{0, view(next)}}) : session.decode({{0, view(next)}});
    float const* const row = logits.row(0);
    next = {static_cast<std::int32_t>(std::max_element(row, row + M::config.vocab_size) - row)};
    out.push_back(next[0]);
  }
  return out;
}

template <class M>
void write_answers(M const& model, Ids const& prompt, int count, Ids const& tokens, std::string const& path,
                   std::vector<io::TensorEntry> entries = {}) {
  Ids const continuation = continue_greedily(model, prompt, count);
  infer::Session<M> session(model, 1, static_cast<Index>(tokens.size()), infer::CacheForm::expanded);
  auto const logits = session.append({{0, view(tokens)}}, true);
  auto const vocabulary = static_cast<std::size_t>(M::config.vocab_size);
  entries.push_back(ids("prompt", prompt));
  entries.push_back(ids("continuation", continuation));
  entries.push_back(ids("tokens", tokens));
  entries.push_back(io::tensor_entry<float>("logits", {tokens.size(), vocabulary},
                                            std::span<float const>(logits.data, tokens.size() * vocabulary)));
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

/// What a model makes of rows of `length` tokens each.
struct Judgement {
  std::vector<double> losses;  ///< negative log probability of each token of a row after its first
  std::vector<float> logits;   ///< of the first rows

  [[nodiscard]] double perplexity() const {
    return std::exp(std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size()));
  }
};

template <class M>
Judgement judge(M const& model, Ids const& rows, std::size_t length) {
  constexpr std::size_t rows_with_logits = 16;
  auto const vocabulary = static_cast<std::size_t>(M::config.vocab_size);
  Judgement out;
  infer::Session<M> session(model, 1, static_cast<Index>(length), infer::CacheForm::expanded);
  for (std::size_t row = 0; row * length < rows.size(); ++row) {
    std::int32_t const* const tokens = rows.data() + row * length;
    session.truncate(0, 0);
    float const* logits = session.append({{0, {tokens, static_cast<Index>(length)}}}, true).data;
    if (row < rows_with_logits) out.logits.insert(out.logits.end(), logits, logits + length * vocabulary);
    for (std::size_t t = 0; t + 1 < length; ++t, logits += vocabulary) {
      double const top = static_cast<double>(*std::max_element(logits, logits + vocabulary));
      double sum = 0;
      for (std::size_t v = 0; v < vocabulary; ++v) sum += std::exp(static_cast<double>(logits[v]) - top);
      out.losses.push_back(top + std::log(sum) - static_cast<double>(logits[tokens[t + 1]]));
    }
  }
  return out;
}

void report(char const* form, Judgement const& rounded, Judgement const& exact) {
  double squares = 0, largest = 0, all = 0;
  for (std::size_t i = 0; i < exact.logits.size(); ++i) {
    double const change =
        std::fabs(static_cast<double>(rounded.logits[i]) - static_cast<double>(exact.logits[i]));
    squares += change * change;
    all += static_cast<double>(exact.logits[i]) * static_cast<double>(exact.logits[i]);
    largest = std::max(largest, change);
  }
  std::cout << form << ": perplexity " << rounded.perplexity() << ", logits changed by "
            << std::sqrt(squares / all) << " of their root mean square, at most by " << largest << '\n';
}

void trained_model(std::string const& folder, std::string const& run, std::string const& text_path) {
  auto const tokenizer = data::load_tokenizer_json(run + "/tokenizer.json");
  Cpu cpu;
  demo::Model model(cpu), other(cpu);
  (void)train::load_checkpoint_weights(model, run + "/checkpoints");
  using interchange::GgufWeights;
  interchange::save_gguf(model, tokenizer, folder + "/demo-f32.gguf", {.name = "aeth demo"});
  interchange::save_gguf(model, tokenizer, folder + "/demo-bf16.gguf", {GgufWeights::bf16, "aeth demo"});
  interchange::save_gguf(model, tokenizer, folder + "/demo-q8_0.gguf", {GgufWeights::q8_0, "aeth demo"});
  expect<DataError>(interchange::load_gguf_tokenizer(folder + "/demo-f32.gguf") == tokenizer,
                    "the tokenizer changed on its way through GGUF");

  constexpr std::size_t length = 256;
  std::string const whole = io::read_file(text_path), content = whole.substr(0, 100'000);
  Ids rows;
  for (std::int32_t const id : tokenizer.encode(whole)) {
    if (rows.size() % length == 0) rows.push_back(tokenizer.special_tokens().bos);
    rows.push_back(id);
  }
  rows.resize(rows.size() / length * length);
  Judgement const exact = judge(model, rows, length);
  report("f32", exact, exact);
  interchange::load_gguf(other, folder + "/demo-bf16.gguf");
  report("bf16", judge(other, rows, length), exact);
  interchange::load_gguf(other, folder + "/demo-q8_0.gguf");
  report("q8_0", judge(other, rows, length), exact);
  for (auto const& [form, name] :
       {std::pair{ScaleForm::any, "fp8"}, {ScaleForm::power_of_two, "fp8-ue8m0"}}) {
    std::string const path = text(folder, "/demo-", name);
    interchange::save_hugging_face(model, nullptr, path,
                                   {.type = interchange::WeightType::fp8, .scale_form = form});
    (void)interchange::load_hugging_face(other, path);
    report(name, judge(other, rows, length), exact);
  }

  Ids const prompt = infer::completion_prompt(tokenizer, "template<typename _Tp>\n  class ");
  Ids const text_ids = tokenizer.encode(content);
  Ids tokens{tokenizer.special_tokens().bos};
  tokens.insert(tokens.end(), text_ids.begin(),
                text_ids.begin() + std::min<std::ptrdiff_t>(std::ssize(text_ids), 767));
  std::size_t const count = rows.size() / length;
  write_answers(model, prompt, 200, tokens, folder + "/demo.safetensors",
                {{"text", io::DType::u8, {content.size()}, std::as_bytes(std::span(content))},
                 ids("text_ids", text_ids),
                 io::tensor_entry<std::int32_t>("rows", {count, length}, rows),
                 io::tensor_entry<double>("losses", {count, length - 1}, exact.losses)});
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
