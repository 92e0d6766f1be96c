/// A training run of a tiny model, and everything it leaves behind.
#pragma once

#include <cstring>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/model/model.hpp"
#include "aeth/train/trainer.hpp"
#include "support/small_text.hpp"

namespace aeth::test {

using TinyModel = Model<presets::tiny, Fp32>;

struct RunOutcome {
  std::vector<float> weights, first, second, biases;
  std::vector<double> losses;
  train::TrainerState state;
};

template <class Optimizer = optim::AdamW>
struct TinyRun {
  Cpu cpu;
  TinyModel model;
  std::vector<double> losses;
  std::vector<train::Progress> progress;
  train::Trainer<TinyModel, Optimizer> trainer;

  TinyRun(SmallText const& text, train::TrainerOptions options, int threads = 2,
          Optimizer const& optimizer = Optimizer())
      : cpu(threads),
        model(cpu),
        trainer((model.initialize(4), model), {text.training, text.validation, text.validation_bytes, 0},
                with_report(options), optimizer) {}

  train::TrainerOptions with_report(train::TrainerOptions options) {
    options.report = [this](train::Progress const& p) {
      losses.push_back(p.loss.main + p.bits_per_byte);
      progress.push_back(p);
    };
    return options;
  }

  RunOutcome outcome() {
    auto const copy = [](auto view) { return std::vector<float>(view.begin(), view.end()); };
    auto const biases = model.biases();
    return {copy(model.weights()),
            copy(trainer.first_moments()),
            copy(trainer.second_moments()),
            std::vector<float>(biases.data, biases.data + biases.rows * biases.cols),
            losses,
            trainer.state()};
  }
};

inline bool same(std::vector<float> const& a, std::vector<float> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline train::TrainerOptions tiny_options() {
  train::TrainerOptions o;
  o.batch_rows = 3;
  o.length = 32;
  o.steps = 24;
  o.warmup_steps = 4;
  o.validate_every = 5;
  o.validation_batches = 2;
  o.loss.balance_weight = 1e-3;
  return o;
}

}  // namespace aeth::test
