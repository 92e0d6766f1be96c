// Generation and training compute the same numbers, and how a prompt is cut, what else is in the batch and
// how many threads there are changes none of them.
#include <cstring>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/infer/generate.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/model/pass.hpp"
#include "aeth/train/step.hpp"
#include "support/catch.hpp"

namespace {

using namespace aeth;
using TestModel = Model<presets::tiny, Fp32, Cpu>;
constexpr Index vocab = presets::tiny.vocab_size;

std::vector<std::int32_t> random_tokens(Index size, std::uint64_t item) {
  Random random(7, RandomUse::test, item);
  std::vector<std::int32_t> tokens;
  for (Index i = 0; i < size; ++i) tokens.push_back(static_cast<std::int32_t>(random.below(vocab)));
  return tokens;
}

/// Initial weights are small; larger ones and biased selection make routing and softmax matter.
void roughen(TestModel& model) {
  model.initialize(3);
  for (float& w : model.weights()) w *= 4.0f;
  Random random(8, RandomUse::test);
  for (Index i = 0; i < model.biases().rows * model.biases().cols; ++i)
    model.biases().data[i] = static_cast<float>(random.normal() * 0.1);
  model.prepare();
}

enum class Call { append, decode };

/// Logits of every token of one sequence, cut into chunks, in a session shared with another sequence.
std::vector<float> all_logits(TestModel const& model, std::vector<std::int32_t> const& tokens, Index chunk,
                              infer::CacheForm form, Call call, Index neighbours) {
  infer::Session session(model, neighbours + 1, 64, form);
  std::vector<float> all;
  for (Index at = 0; at < static_cast<Index>(tokens.size()); at += chunk) {
    std::vector<infer::Chunk> chunks;
    std::vector<std::vector<std::int32_t>> others;
    for (Index n = 0; n < neighbours; ++n)
      others.push_back(random_tokens(2 + n, static_cast<std::uint64_t>(100 + at + n)));
    for (Index n = 0; n < neighbours; ++n)
      if (session.length(n) + static_cast<Index>(others[to_size(n)].size()) <= 64)
        chunks.push_back({n, {others[to_size(n)].data(), static_cast<Index>(others[to_size(n)].size())}});
    Index before = 0;
    for (auto const& c : chunks) before += c.tokens.size;
    Index const size = min(chunk, static_cast<Index>(tokens.size()) - at);
    chunks.push_back({neighbours, {tokens.data() + at, size}});
    auto const logits = call == Call::append ? session.append(chunks, true) : session.decode(chunks, true);
    all.insert(all.end(), logits.row(before), logits.row(before) + size * vocab);
  }
  return all;
}

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE(
    "inference: chunks, neighbours and threads change no bit; prompts equal training with either cache") {
  auto const tokens = random_tokens(23, 1);
  std::vector<float> training, latent;
  for (int threads = 1; threads <= 4; ++threads) {
    Cpu cpu(threads);
    TestModel model(cpu);
    roughen(model);
    std::vector<Index> const rows{0, 23};
    Pass pass(model);
    pass.forward({{tokens.data(), 23}, &rows, &rows, nullptr});
    std::vector<float> logits(to_size(23 * vocab));
    model.head().forward(cpu, pass.normed(), MatrixView<float>(logits.data(), 23, vocab));
    if (threads == 1) training = logits;
    CHECK(same_bits(logits, training));
    for (Index const chunk : {Index{1}, Index{5}, Index{23}})
      for (Index const neighbours : {Index{0}, Index{2}}) {
        CHECK(
            same_bits(all_logits(model, tokens, chunk, infer::CacheForm::expanded, Call::append, neighbours),
                      training));
        CHECK(
            same_bits(all_logits(model, tokens, chunk, infer::CacheForm::expanded, Call::decode, neighbours),
                      training));
        CHECK(same_bits(all_logits(model, tokens, chunk, infer::CacheForm::latent, Call::append, neighbours),
                        training));
        auto const decoded =
            all_logits(model, tokens, chunk, infer::CacheForm::latent, Call::decode, neighbours);
        if (latent.empty()) latent = decoded;
        CHECK(same_bits(decoded, latent));
      }
  }
  CHECK_FALSE(same_bits(latent, training));  // another order of sums: equal to rounding only
  for (std::size_t i = 0; i < latent.size(); ++i) CHECK(latent[i] == Catch::Approx(training[i]).margin(1e-4));
}

TEST_CASE("generation reports the log-probabilities that training computes, bit for bit") {
  Cpu cpu(2);
  TestModel model(cpu);
  roughen(model);
  data::BpeTrainer counts;
  counts.add("a few words, words and a few more words");
  auto const tokenizer = counts.train({.vocab_size = 300});
  std::vector<std::int32_t> const prompt = infer::completion_prompt(tokenizer, "a few words");
  auto const generation = infer::generate(model, tokenizer, prompt,
                                          {.max_tokens = 20,
                                           .sampler = {.temperature = 1.0, .seed = 5},
                                           .cache = infer::CacheForm::expanded,
                                           .chunk = 3,
                                           .log_probabilities = true});
  REQUIRE(generation.tokens.size() >= 5);
  data::Batch batch;
  Index const made = static_cast<Index>(generation.tokens.size());
  Index const size = static_cast<Index>(prompt.size()) + made - 1;
  batch.resize(1, size, 1);
  batch.segments = {0};
  std::vector<std::int32_t> all = prompt;
  all.insert(all.end(), generation.tokens.begin(), generation.tokens.end());
  for (Index i = 0; i < size; ++i) {
    batch.tokens[to_size(i)] = all[to_size(i)];
    batch.targets[to_size(i)] = all[to_size(i + 1)];
  }
  train::Stepper<TestModel> stepper(model);
  (void)stepper.evaluate(batch, 0);
  for (Index i = 0; i < made; ++i)
    CHECK(-static_cast<double>(stepper.token_losses()[size - made + i]) ==
          generation.log_probabilities[to_size(i)]);
}
