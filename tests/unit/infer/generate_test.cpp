// Sampling filters, stop strings, streaming and the refusals of generation.
#include "aeth/infer/generate.hpp"

#include <limits>
#include <map>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "support/catch.hpp"

namespace {

using namespace aeth;

std::map<std::int32_t, int> draws(infer::SamplerOptions options, std::vector<float> const& logits,
                                  Index usable) {
  infer::Sampler sampler(options);
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < 4000; ++i)
    ++counts[sampler(VectorView<float const>(logits.data(), static_cast<Index>(logits.size())), usable)];
  return counts;
}

}  // namespace

TEST_CASE("sampler: filters keep what they say, in proportion") {
  // probabilities 1/2, 1/4, 1/8, 1/8
  std::vector<float> const logits{std::log(4.0f), std::log(2.0f), 0.0f, 0.0f, 50.0f};
  auto const plain = draws({}, logits, 4);
  CHECK(plain.at(0) == Catch::Approx(2000).margin(150));
  CHECK(plain.at(1) == Catch::Approx(1000).margin(130));
  CHECK(plain.at(3) == Catch::Approx(500).margin(100));
  CHECK(plain.count(4) == 0);  // beyond the tokenizer's ids, however likely
  CHECK(draws({.top_k = 2}, logits, 4).size() == 2);
  CHECK(draws({.top_p = 0.5}, logits, 4).size() == 1);
  CHECK(draws({.top_p = 0.6}, logits, 4).size() == 2);
  CHECK(draws({.min_p = 0.4}, logits, 4).size() == 2);
  CHECK(draws({.temperature = 0.0}, logits, 4).size() == 1);
  CHECK(draws({.seed = 1}, logits, 4) == draws({.seed = 1}, logits, 4));
  CHECK(draws({.seed = 1}, logits, 4) != draws({.seed = 2}, logits, 4));
  std::vector<float> const tied{1.0f, 3.0f, 3.0f};
  CHECK(draws({.temperature = 0.0}, tied, 3).begin()->first == 1);
}

TEST_CASE("sampler: bad options and logits are refused") {
  std::vector<float> logits{0.0f, std::numeric_limits<float>::quiet_NaN()};
  infer::Sampler sampler({});
  CHECK_THROWS_AS(sampler(VectorView<float const>(logits.data(), 2), 2), NumericError);
  float const infinity = std::numeric_limits<float>::infinity();
  for (float const largest : {infinity, -infinity})
    for (double const temperature : {0.0, 1.0}) {
      logits = {-infinity, largest};
      CHECK_THROWS_AS(
          infer::Sampler({.temperature = temperature})(VectorView<float const>(logits.data(), 2), 2),
          NumericError);
    }
  CHECK_THROWS_AS(sampler(VectorView<float const>(logits.data(), 2), 0), ShapeError);
  for (infer::SamplerOptions const bad :
       {infer::SamplerOptions{.temperature = -1.0}, infer::SamplerOptions{.temperature = 1e30},
        infer::SamplerOptions{.top_k = -1}, infer::SamplerOptions{.top_p = 0.0},
        infer::SamplerOptions{.top_p = 2.0},
        infer::SamplerOptions{.min_p = std::numeric_limits<double>::quiet_NaN()}})
    CHECK_THROWS_AS(infer::Sampler(bad), UsageError);
}

TEST_CASE("generation: streaming, stop strings and limits") {
  Cpu cpu(1);
  Model<presets::tiny, Fp32> model(cpu);
  model.initialize(1);
  data::BpeTrainer counts;
  counts.add("one two three one two three äöü äöü");
  auto const tokenizer = counts.train({.vocab_size = 300});
  auto const prompt = infer::completion_prompt(tokenizer, "one");
  infer::GenerateOptions options{.max_tokens = 60, .sampler = {.seed = 3}};
  std::string streamed;
  options.stream = [&](std::string_view piece) {
    CHECK(data::count_invalid_utf8(piece) == 0);
    streamed += piece;
    return true;
  };
  auto const all = infer::generate(model, tokenizer, prompt, options);
  CHECK(streamed == all.text);
  REQUIRE(all.text.size() > 10);

  std::size_t const at = all.text.size() / 2;
  options.stop = {"never to be seen", all.text.substr(at, 3)};
  streamed.clear();
  auto const stopped = infer::generate(model, tokenizer, prompt, options);
  CHECK(stopped.finish == infer::FinishReason::stop_string);
  CHECK(stopped.text == all.text.substr(0, all.text.find(options.stop[1])));
  CHECK(streamed == stopped.text);

  options.stop = {};
  options.stream = [](std::string_view) { return false; };
  CHECK(infer::generate(model, tokenizer, prompt, options).finish == infer::FinishReason::cancelled);

  options.stop = {""};
  CHECK_THROWS_AS(infer::generate(model, tokenizer, prompt, options), UsageError);
  options.stop = {};
  CHECK_THROWS_AS(infer::generate(model, tokenizer, {}, options), UsageError);
  options.max_tokens = 0;
  CHECK_THROWS_AS(infer::generate(model, tokenizer, prompt, options), UsageError);
  options.max_tokens = presets::tiny.max_context;
  CHECK_THROWS_AS(infer::generate(model, tokenizer, prompt, options), UsageError);
  options.max_tokens = 5;
  CHECK_THROWS_AS(infer::generate(model, tokenizer, {presets::tiny.vocab_size}, options), DataError);
}

TEST_CASE("infilling: the prompt's order is prefix, hole, suffix, end") {
  data::BpeTrainer counts;
  counts.add("left right");
  auto const tokenizer = counts.train({.vocab_size = 280});
  auto const special = tokenizer.special_tokens();
  auto const prompt = infer::infill_prompt(tokenizer, "left", "right");
  REQUIRE(prompt.size() >= 6);
  CHECK(prompt[0] == special.bos);
  CHECK(prompt[1] == special.fim_begin);
  CHECK(prompt.back() == special.fim_end);
  CHECK(tokenizer.decode(prompt, {.skip_special = true}) == "leftright");
}
