// What is measured of a model: tensors by name and group, updates, attention, FP8.
#include "aeth/train/watch.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "aeth/train/trainer.hpp"
#include "support/catch.hpp"
#include "support/watched_run.hpp"

using namespace aeth;
using test::WatchedRun, test::normal_text, test::watched_options, test::watchful;
using train::TensorGroup;

TEST_CASE(
    "watch: every tensor has a group, and the update ratio is that of the whole tensor where it is sampled "
    "whole") {
  train::MonitorOptions watch = watchful();
  watch.health_every = 1;
  WatchedRun run(normal_text(), watched_options(), watch);
  std::vector<train::Health> seen;
  run.monitor.health = [&](train::Health const& h) { seen.push_back(h); };
  std::vector<float> const before = run.outcome().weights;
  double const norm = run.trainer.step().gradient_norm;
  REQUIRE(seen.size() == 1);
  train::Health const& health = seen[0];
  CHECK(health.step == 1);
  auto const& parameters = run.model.parameters();
  REQUIRE(health.tensors.size() == parameters.size());
  std::vector<Index> of_group(to_size(train::tensor_groups));
  double squares = 0.0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    ParameterInfo const& p = parameters[i];
    CHECK((*health.names)[i] == p.name);
    ++of_group[static_cast<std::size_t>((*health.groups)[i])];
    squares += health.tensors[i].gradient_norm * health.tensors[i].gradient_norm;
    if (p.size() > 1024) continue;
    double moved = 0.0, size = 0.0;
    for (Index k = p.offset; k < p.offset + p.size(); ++k) {
      double const old = static_cast<double>(before[to_size(k)]);
      moved += std::pow(static_cast<double>(run.model.weights()[k]) - old, 2);
      size += old * old;
    }
    CHECK(health.tensors[i].update_ratio == Approx(std::sqrt(moved / size)));
  }
  for (Index const count : of_group) CHECK(count > 0);
  CHECK(std::sqrt(squares) == Approx(norm));
  // AdamW's first step moves every weight by the rate.
  CHECK(health.update_ratio(TensorGroup::norm) == Approx(7.5e-4).epsilon(0.2));
  CHECK(health.f8_values == 0.0);
}

TEST_CASE("watch: the largest attention logit is that of queries and keys") {
  WatchedRun run(normal_text(), watched_options());
  (void)run.trainer.step();
  double const now = run.trainer.stepper().largest_logit(1);
  CHECK(now > 0.0);
  for (ParameterInfo const& p : run.model.parameters())
    if (p.name == "model.layers.1.self_attn.q_b_proj.weight")
      for (float& w : run.model.weights().slice(p.offset, p.size())) w *= 64.0f;
  run.model.prepare();
  (void)run.trainer.validate_now(1);
  double const larger = run.trainer.stepper().largest_logit(1);
  for (ParameterInfo const& p : run.model.parameters())
    if (p.name == "model.layers.1.self_attn.q_b_proj.weight")
      for (float& w : run.model.weights().slice(p.offset, p.size())) w /= 64.0f;
  run.model.prepare();
  (void)run.trainer.validate_now(1);
  CHECK(larger == 64.0 * run.trainer.stepper().largest_logit(1));  // a power of two changes no rounding
}

TEST_CASE("watch: FP8 is observed, a healthy model is told nothing, outliers are") {
  for (bool const outliers : {false, true}) {
    Cpu cpu(2);
    Model<presets::tiny, Fp8> model(cpu);
    model.initialize(4);
    for (ParameterInfo const& p : model.parameters())
      if (outliers && p.kind == nn::ParameterKind::norm)
        for (Index i = 0; i < p.size(); i += 30) model.weights()[p.offset + i] *= 1e5f;
    model.prepare();
    auto const& text = normal_text();
    train::Trainer trainer(model, {text.training, text.validation, text.validation_bytes, 0},
                           watched_options(20));
    train::Monitor monitor(watchful());
    std::string kinds;
    Index measured = 0;
    monitor.record = [&](train::Event const& e) { kinds += e.kind + ' '; };
    monitor.health = [&](train::Health const& h) {
      ++measured;
      CHECK(h.f8_values > 1e5);
      CHECK(h.f8_lost == 0.0);
      CHECK((h.f8_vanished > 0.02) == outliers);
      if (outliers) CHECK(h.f8_tensor.starts_with("model.layers."));
    };
    trainer.monitor = &monitor;
    // The user's own observation goes on through the measurements.
    F8Observation own;
    cpu.observe_f8(&own);
    Index const of_step = (trainer.step(), own.total(F8Operand::input_columns).values);
    CHECK(of_step > 0);
    trainer.run();
    CHECK(cpu.observe_f8(nullptr) == &own);
    CHECK(own.total(F8Operand::input_columns).values == 20 * of_step);
    CHECK(measured == 2);
    INFO(kinds);
    CHECK((kinds.find("fp8_underflow") != std::string::npos) == outliers);
    CHECK(kinds.empty() == !outliers);
  }
}
