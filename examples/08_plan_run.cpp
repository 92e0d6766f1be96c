// Plans a training run before a device is rented: hours, money, memory and where the time goes, from
// published rates only. Without options, DeepSeek-V3's own pre-training on 2,048 H800.
// docs/explanation/cost.md compares it with what it took.
//
// test: deepseek_v3
#include <iostream>
#include <string>

#include "aeth/config/describe_plan.hpp"
#include "aeth/config/plan_rules.hpp"
#include "aeth/config/published_cost.hpp"
#include "support/console.hpp"
#include "support/planned_runs.hpp"

namespace {

using namespace aeth;

struct Arguments {
  std::string preset = "deepseek_v3", hardware, schedule, products;
  double tokens = 0.0, dollars = -1.0;
  int data = 0, pipeline = 0, expert = 0, tensor = 0, micro_rows = 0, context = 0;
  Index batch_rows = 0;
};

ExitCode plan_run(Arguments const& a) {
  demo::Run run = demo::runs().at(a.preset);
  Hardware hardware = *find_hardware(a.hardware.empty() ? run.hardware : a.hardware);
  if (a.dollars >= 0.0) hardware.dollars_per_hour = a.dollars;
  ParallelPlan& plan = run.plan;
  auto const set = [](auto& field, auto value) {
    if (value != 0) field = value;
  };
  set(plan.data, a.data);
  set(plan.pipeline, a.pipeline);
  set(plan.expert, a.expert);
  set(plan.tensor, a.tensor);
  set(plan.micro_rows, a.micro_rows);
  set(plan.batch_rows, a.batch_rows);
  set(plan.context, a.context);
  for (auto const schedule : {Schedule::one_f_one_b, Schedule::zb1p, Schedule::dual_pipe})
    if (name_of(schedule) == a.schedule) plan.schedule = schedule;
  for (auto const products : {Products::fp32, Products::bf16, Products::fp8})
    if (name_of(products) == a.products) plan.products = products;
  expect<UsageError>(a.tokens >= 0.0 && a.dollars >= -1.0, "--tokens and --dollars need numbers, not NaN");
  double const tokens = a.tokens > 0.0 ? a.tokens : run.tokens;
  expect<UsageError>(tokens > 0.0, a.preset,
                     ": no recipe says how many tokens it trains on; give --tokens, such as 1e9");
  require_valid(plan, run.config, hardware, a.preset);

  TrainingRates const& rates = rates_of(hardware, plan.products);
  std::cout << describe(plan, hardware) << "\n\n"
            << cost_table(cost_plan(run.config, tokens, hardware, plan, rates), hardware) << '\n'
            << assumption_table(run.config, tokens, hardware, plan, rates);
  if (run.config == presets::deepseek_v3)
    std::cout << "\npublished, H800 hours: V3's pre-training "
              << grouped(static_cast<Index>(published_v3_hours.pretraining))
              << ", with context extension and post-training "
              << grouped(static_cast<Index>(published_v3_hours.total()))
              << "\nR1's reinforcement learning, often quoted as \"$300,000\", comes on top: "
              << grouped(static_cast<Index>(published_r1_hours.total())) << " hours, $294,000\n";
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Plans a training run: hours, money, memory, and where the time goes. Options change the preset's "
      "plan.");
  Arguments a;
  std::vector<std::string> presets, machines;
  for (auto const& [name, run] : demo::runs()) presets.push_back(name);
  for (auto const& hardware : hardware_table) machines.emplace_back(hardware.name);
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("preset", a.preset, "One of the presets")
      ->check(CLI::IsMember(presets))
      ->capture_default_str();
  app.add_option("--tokens", a.tokens,
                 "Tokens to train on, such as 14.8e12 (default: the published recipe's)")
      ->check(CLI::Range(1.0, 1e18));
  app.add_option("--hardware", a.hardware, "Device")->check(CLI::IsMember(machines));
  app.add_option("--dollars", a.dollars, "Rent of a device for an hour")->check(CLI::Range(0.0, 1e6));
  CLI::Range const degree(1, 1 << 24);
  app.add_option("--data", a.data, "Data-parallel ranks")->check(degree);
  app.add_option("--pipeline", a.pipeline, "Pipeline stages")->check(degree);
  app.add_option("--expert", a.expert, "Devices that share a layer's experts")->check(degree);
  app.add_option("--tensor", a.tensor, "Devices that share each matrix")->check(degree);
  app.add_option("--batch", a.batch_rows, "Sequences of a step")->check(degree);
  app.add_option("--micro-rows", a.micro_rows, "Sequences at once")->check(degree);
  app.add_option("--context", a.context, "Tokens of a sequence")->check(degree);
  app.add_option("--schedule", a.schedule, "Order of the pipeline")
      ->check(CLI::IsMember({"1f1b", "zb1p", "dualpipe"}));
  app.add_option("--products", a.products, "Numbers of the layers' products")
      ->check(CLI::IsMember({"fp32", "bf16", "fp8"}));
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  return console::guarded([&] { return plan_run(a); });
}
