// Whole optimizer steps leave the same bits with any number of threads, on any SIMD level and however a batch is cut: weights,
// moments, selection biases, losses and gradient norms.
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/optim/muon.hpp"
#include "aeth/train/trainer.hpp"
#include "support/catch.hpp"
#include "support/odd_configs.hpp"
#include "support/tensor.hpp"

namespace {

using namespace aeth;

/// Documents of very different lengths: several in a row, and one over several rows. Their tokens are a
/// quarter of the vocabulary, which a few steps can learn.
data::TokenCorpus make_corpus(int vocab, std::uint64_t seed) {
  data::TokenCorpus corpus;
  Random random(seed, RandomUse::test);
  for (int d = 0; d < 40; ++d) {
    Index const size = d % 8 == 0 ? 150 : 2 + static_cast<Index>(random.below(30));
    for (Index i = 0; i < size; ++i)
      corpus.tokens.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab / 4))));
    corpus.end_document();
  }
  corpus.seal();
  return corpus;
}

/// Policies whose backward pass computes again what is cheap.
struct LeanFp32 : Fp32 {
  static constexpr bool recomputes = true;
};
struct LeanBf16 : Bf16 {
  static constexpr bool recomputes = true;
};

/// What a number of steps leaves behind.
template <class Model>
struct Outcome {
  std::vector<typename Model::Master> weights;
  std::vector<typename Model::PrecisionPolicy::Moment> first, second;
  std::vector<typename Model::Exact> biases;
  std::vector<double> reported;  ///< per step: losses, gradient norm and the largest share of an expert
};

template <ModelConfig C, class P, class Optimizer = optim::AdamW>
auto train_model(int threads, Index micro_rows, SimdLevel level = best_simd_level()) {
  using TestModel = Model<C, P>;
  auto const training = make_corpus(C.vocab_size, 1), validation = make_corpus(C.vocab_size, 2);
  Cpu cpu(threads, level);
  TestModel model(cpu);
  model.initialize(4);
  train::TrainerOptions options;
  options.batch_rows = 3;
  options.micro_rows = micro_rows;
  options.length = 60;  // more than a tile of queries of attention
  options.steps = 6;
  options.warmup_steps = 2;
  options.learning_rate = 2e-2;
  options.loss.balance_weight = 1e-2;
  options.bias_rate = 1e-2;
  train::Trainer<TestModel, Optimizer> trainer(model, {training, validation, 0, 0}, options);
  Outcome<TestModel> out;
  for (int step = 0; step < 6; ++step) {
    train::Progress const p = trainer.step();
    out.reported.insert(out.reported.end(),
                        {p.loss.main, p.loss.mtp, p.loss.balance, p.gradient_norm, p.max_violation});
  }
  out.weights.assign(model.weights().begin(), model.weights().end());
  out.first.assign(trainer.first_moments().begin(), trainer.first_moments().end());
  out.second.assign(trainer.second_moments().begin(), trainer.second_moments().end());
  auto const biases = model.biases();
  out.biases.assign(biases.data, biases.data + biases.rows * biases.cols);
  return out;
}

/// micro_batches: how else a batch may be cut.
template <ModelConfig C, class P, class Optimizer = optim::AdamW>
void check_training(std::string const& name, std::vector<Index> const& micro_batches = {0, 1, 2}) {
  auto const wanted = train_model<C, P, Optimizer>(1, 0);
  REQUIRE(wanted.reported.size() == 30);
  CHECK(wanted.reported[25] < 0.99 * wanted.reported[0]);  // the steps did something,
  CHECK(wanted.reported[1] > 0.0);                         // with MTP
  CHECK(wanted.reported[2] > 0.0);                         // and with experts that are balanced,
  CHECK(test::largest_magnitude(wanted.biases) > 0.0);     // by both means
  auto const check_same = [&](auto const& other) {
    CHECK(test::same_bits(other.weights, wanted.weights));
    CHECK(test::same_bits(other.first, wanted.first));
    CHECK(test::same_bits(other.second, wanted.second));
    CHECK(test::same_bits(other.biases, wanted.biases));
    CHECK(test::same_bits(other.reported, wanted.reported));
  };
  for (SimdLevel const level : all_simd_levels) {
    if (level >= best_simd_level()) continue;
    INFO(name << ", " << to_string(level));
    check_same(train_model<C, P, Optimizer>(2, 0, level));
  }
  for (int threads = 1; threads <= 4; ++threads)
    for (Index const micro_rows : micro_batches) {
      if (threads == 1 && micro_rows == 0) continue;
      INFO(name << ", " << threads << " threads, micro_rows " << micro_rows);
      check_same(train_model<C, P, Optimizer>(threads, micro_rows));
    }
}

}  // namespace

TEST_CASE(
    "parity: optimizer steps leave the same bits for 1 to 4 threads, all levels and all micro-batches") {
  check_training<presets::tiny, Fp32>("tiny, fp32");
  check_training<test::odd_v3, Fp32>("odd sizes, two MTP modules, fp32");
  check_training<test::odd_v3, Bf16>("odd sizes, two MTP modules, bf16");
}

TEST_CASE("parity: optimizer steps in FP8 leave the same bits for 1 to 4 threads and all levels") {
  // Tiles of the gradients' operands are 128 tokens of what goes through at once, so that is part of the arithmetic.
  check_training<test::odd_v3, Fp8>("odd sizes, two MTP modules, fp8", {0});
  check_training<presets::tiny, Fp8>("tiny, fp8", {0});
}

TEST_CASE(
    "parity: steps with Muon leave the same bits for 1 to 4 threads, all levels and all micro-batches") {
  check_training<test::odd_v3, Fp32, optim::Muon>("odd sizes, two MTP modules, fp32");
  check_training<test::odd_v3, Fp8, optim::Muon>("odd sizes, two MTP modules, fp8", {0});
}

TEST_CASE("parity: computing again what is cheap changes no bit of a step") {
  auto const check = [](auto const& again, auto const& kept) {
    CHECK(test::same_bits(again.weights, kept.weights));
    CHECK(test::same_bits(again.second, kept.second));
    CHECK(test::same_bits(again.reported, kept.reported));
  };
  check(train_model<test::odd_v3, LeanFp32>(2, 1), train_model<test::odd_v3, Fp32>(2, 0));
  check(train_model<test::odd_v3, LeanBf16>(2, 0), train_model<test::odd_v3, Bf16>(2, 0));
  check(train_model<presets::tiny, LeanBf16>(2, 2), train_model<presets::tiny, Bf16>(2, 0));
}
