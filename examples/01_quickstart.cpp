// Trains a small model on its own source text, or on a file or folder you name, and lets it continue a line.
// test:
// [begin quickstart]
#include <iostream>

#include "aeth/aeth.hpp"

inline constexpr aeth::ModelConfig config = aeth::with(aeth::presets::tiny, [](aeth::ModelConfig& c) {
  c.layers = 2;
  c.moe.experts = 16;
});

int main(int argc, char** argv) {
  auto const documents = aeth::data::read_source(argc > 1 ? argv[1] : __FILE__);
  aeth::data::BpeTrainer counts;
  for (auto const& document : documents) counts.add(document.text);
  auto const tokenizer = counts.train({.vocab_size = config.vocab_size});
  auto const corpus = aeth::data::pack(documents, tokenizer);

  aeth::Cpu cpu;
  aeth::Model<config, aeth::Fp32> model(cpu);
  model.initialize(/*seed=*/1);
  aeth::train::TrainerOptions const options{
      .batch_rows = 4, .length = 64, .steps = 400, .report = aeth::train::ProgressLine()};
  aeth::train::Trainer trainer(model, {corpus, corpus}, options);  // trains and validates on the same text
  trainer.run();
  auto const prompt = aeth::infer::completion_prompt(tokenizer, "// Trains");
  aeth::infer::GenerateOptions const greedy{.max_tokens = 80, .sampler = {.temperature = 0}};
  std::cout << "// Trains" << aeth::infer::generate(model, tokenizer, prompt, greedy).text << '\n';
}
// [end quickstart]
