// Trains a small model on its own source text and lets it continue a line.
// test:
// [begin quickstart]
#include <iostream>

#include "aeth/aeth.hpp"

inline constexpr aeth::ModelConfig config{
    .vocab_size = 512,
    .dim = 64,
    .layers = 2,
    .dense_layers = 1,
    .ffn_dim = 128,
    .max_context = 256,
    .init_std = 0.02,
    .mla = {.heads = 4, .q_rank = 32, .kv_rank = 32, .nope_dim = 16, .rope_dim = 8, .v_dim = 16},
    .moe = {.experts = 8, .shared = 1, .top_k = 2, .hidden_dim = 32},
    .mtp_depth = 1};

int main(int argc, char** argv) {
  auto const documents = aeth::data::read_source(argc > 1 ? argv[1] : __FILE__);
  aeth::data::BpeTrainer counts;
  for (auto const& document : documents) counts.add(document.text);
  auto const tokenizer = counts.train({.vocab_size = config.vocab_size});
  auto const corpus = aeth::data::pack(documents, tokenizer);

  aeth::Cpu cpu;
  aeth::Model<config, aeth::Fp32> model(cpu);
  model.initialize(/*seed=*/1);
  aeth::train::Trainer trainer(model, {corpus, corpus}, {.batch_rows = 2, .length = 64, .steps = 150});
  trainer.run();
  auto const prompt = aeth::infer::completion_prompt(tokenizer, "#include ");
  std::cout << aeth::infer::generate(model, tokenizer, prompt,
                                     {.max_tokens = 40, .sampler = {.temperature = 0}})
                   .text;
}
// [end quickstart]
