// Estimates of whole runs: against published ones, hand-worked parts, and what must hold whatever the numbers.
#include "aeth/config/cost_plan.hpp"

#include <utility>
#include <vector>

#include "aeth/config/plan_rules.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/config/published_cost.hpp"
#include "aeth/config/recipe.hpp"
#include "aeth/config/violations.hpp"
#include "aeth/numeric/precision.hpp"
#include "support/catch.hpp"

using namespace aeth;
using Catch::Approx;

namespace {

Hardware const& h800 = *find_hardware("h800");
Hardware const& zen4 = *find_hardware("zen4");
constexpr ModelConfig const& v3 = presets::deepseek_v3;
constexpr ParallelPlan const& v3_plan = presets::deepseek_v3_plan;
constexpr double v3_tokens = presets::deepseek_v3_recipe.tokens;

inline constexpr CostPlan v3_cost = cost_plan(v3, v3_tokens, hardware_table[0], v3_plan);

template <class Change>
CostPlan changed(Change change, Hardware const& hw = h800) {
  ParallelPlan plan = v3_plan;
  change(plan);
  require_valid(plan, v3, hw, "test");
  return cost_plan(v3, v3_tokens, hw, plan);
}

}  // namespace

TEST_CASE("V3's plan is that of its paper and recipe") {
  STATIC_REQUIRE(v3_plan.devices() == 2048);
  STATIC_REQUIRE(v3_plan.micro_batches() == 120);
  STATIC_REQUIRE(v3_plan.batch_rows == presets::deepseek_v3_recipe.batch_last);
  STATIC_REQUIRE(v3_plan.context == presets::deepseek_v3_recipe.context);
}

TEST_CASE("V3's pre-training is estimated within a tenth of the published hours") {
  INFO("estimated " << v3_cost.device_hours << " hours, a step of " << v3_cost.step.total() << " s");
  CHECK(v3_cost.device_hours == Approx(published_v3_hours.pretraining).epsilon(0.1));
  CHECK(v3_cost.device_hours == Approx(2.539e6).epsilon(0.002));  // says so in docs/explanation/cost.md
  CHECK(v3_cost.dollars == 2.0 * v3_cost.device_hours);
  CHECK(v3_cost.days == Approx(v3_cost.device_hours / 2048.0 / 24.0));
}

TEST_CASE("a step of V3 has the parts that were measured") {
  // Overlapped chunks as on the devices in the middle of the pipeline.
  double const pairs = 120.0 - 17.0, alone = 17.0;
  ChunkTimes const& chunk = v3_cost.chunk;
  V3Step const& measured = published_v3_step;
  CHECK(v3_cost.step.total() == Approx(measured.total).epsilon(0.1));
  CHECK(pairs * chunk.pair == Approx(measured.overlapped).epsilon(0.05));
  CHECK(alone * (chunk.forward + chunk.backward) ==
        Approx(measured.forward + measured.backward + measured.weight).epsilon(0.2));
  // The estimate has no uneven loads of experts, which a pipeline waits for: its bubble is half of that
  // measured.
  CHECK(v3_cost.step.bubble < measured.bubble);
  CHECK(v3_cost.step.bubble > 0.4 * measured.bubble);
  CHECK(measured.forward + measured.backward + measured.weight + measured.overlapped + measured.bubble +
            measured.optimizer ==
        Approx(measured.total).epsilon(0.002));
}

TEST_CASE("the model card counts the FLOPs that V3's published utilization counts") {
  // 38.94 % of 989 TFLOP/s at 272.80e9 tokens a day (arXiv:2505.09343, Table 4, causal), MTP not counted.
  constexpr ModelConfig main = with(v3, [](ModelConfig& c) { c.mtp_depth = 0; });
  double const tokens_per_second = 272.80e9 / 86400.0 / 2048.0;
  CHECK(training_flops_per_token(main, 4096) * tokens_per_second / 989e12 == Approx(0.3894).epsilon(0.005));
  CHECK(1e12 / 272.80e9 * 24.0 * 2048.0 == Approx(180e3).epsilon(0.005));  // hours per 10^12 tokens
}

TEST_CASE("published costs add up, and R1's is another") {
  STATIC_REQUIRE(published_v3_hours.total() == 2.788e6);
  STATIC_REQUIRE(published_v3_hours.total() * published_dollars_per_hour == 5.576e6);
  STATIC_REQUIRE(published_r1_hours.total() * published_dollars_per_hour == 294e3);
  CHECK((published_v3_hours.total() + published_r1_hours.total()) * published_dollars_per_hour ==
        Approx(5.87e6));
}

TEST_CASE("work adds up to the model card's FLOPs") {
  for (ModelConfig const* c : {&presets::deepseek_v3, &presets::deepseek_v2, &presets::deepseek_v2_lite,
                               &presets::kimi_k2, &presets::mini}) {
    ParallelPlan const plan{.context = 256};
    TokenWork const all = static_cast<double>(c->layers) * mean_layer_work(*c, plan) + head_work(*c, plan);
    CHECK(3.0 * (all.products + all.wide + all.attention) ==
          Approx(training_flops_per_token(*c, 256)).epsilon(1e-12));
  }
}

TEST_CASE("the parts of a step are a pipeline's seconds and the exchange of gradients") {
  auto const check = [](CostPlan const& e, ParallelPlan const& plan) {
    CHECK(e.step.total() ==
          Approx(pipeline_seconds(plan.schedule, plan.pipeline, e.micro_batches, e.chunk) + e.step.gradients)
              .epsilon(1e-12));
  };
  check(v3_cost, v3_plan);
  for (auto const schedule : {Schedule::one_f_one_b, Schedule::zb1p}) {
    ParallelPlan plan = v3_plan;
    plan.schedule = schedule;
    check(cost_plan(v3, v3_tokens, h800, plan), plan);
  }
}

TEST_CASE("messages, worked by hand") {
  PlanClock const clock(v3, v3_plan, h800, fp8_hopper_rates);
  // 4,096 tokens to 4 of 8 nodes, 3.5 of them remote, 7,168 numbers of 1 + 1/32 bytes there and 2 back, at 40
  // GB/s
  CHECK(clock.all_to_all() == Approx(4096.0 * 3.5 * 7168.0 * 3.03125 / 40e9));
  CHECK(clock.hand_over() == Approx(4096.0 * 7168.0 * 2.0 / 40e9));
  CHECK(clock.tensor_sums() == 0.0);
  ParallelPlan inside = v3_plan;
  inside.expert = 8;  // one node: each of 8 copies, 7 of 8 of them to others, at 160 GB/s
  CHECK(PlanClock(v3, inside, h800, fp8_hopper_rates).all_to_all() ==
        Approx(4096.0 * 8.0 * 7168.0 * 3.03125 * 7.0 / 8.0 / 160e9));
  ParallelPlan split = v3_plan;
  split.tensor = 4;  // two sums, forward or backward, of 6/4 times the numbers in BF16
  CHECK(PlanClock(v3, split, h800, fp8_hopper_rates).tensor_sums() ==
        Approx(2.0 * 1.5 * 4096.0 * 7168.0 * 2.0 / 160e9));
}

TEST_CASE("the exchange of gradients, worked by hand") {
  // The device with either end: embedding, head with its norm, three dense layers, two with experts, and the
  // MTP module, which is a third, a projection and three norms; 4 of 256 experts in each.
  double const width = 7168.0, expert = 44'040'192.0, attention = 187'107'328.0 + 2.0 * width;
  double const common = 2.0 * 129280.0 * width + width + 3.0 * (attention + 3.0 * width * 18432.0) +
                        3.0 * (attention + expert + 256.0 * width) + 2.0 * width * width + 3.0 * width;
  double const experts = 3.0 * 4.0 * expert;
  // 4 bytes of gradient and 2 of weight at 40 GB/s, among 256 ranks and among 4
  CHECK(v3_cost.step.gradients == Approx((common * 255.0 / 256.0 + experts * 3.0 / 4.0) * 6.0 / 40e9));
}

TEST_CASE("computing alone is less than V3's context extension took") {
  // 1,000 steps of 1,920 sequences of 32K tokens, then of 480 of 128K (V3 §4.3); how they were spread is not
  // known
  double hours = 0.0;
  for (auto const& [context, rows] : {std::pair{32768, 1920.0}, std::pair{131072, 480.0}}) {
    ParallelPlan plan = v3_plan;
    plan.context = context;
    PlanClock const clock(v3, plan, h800, fp8_hopper_rates);
    TokenWork const model = static_cast<double>(v3.layers) * mean_layer_work(v3, plan) + head_work(v3, plan);
    hours += 1000.0 * rows * clock.overlapped(clock.both(model).total(), 0.0) / 3600.0;
  }
  CHECK(hours == Approx(75e3).epsilon(0.005));
  CHECK(hours < published_v3_hours.context_extension);
}

TEST_CASE("V3's plan fits into 80 GB, worked by hand") {
  // A device in the middle: 8 layers (4 of either stage) with 4 of 256 experts each.
  double const expert = 44'040'192.0, common = 187'107'328.0 + 2.0 * 7168.0 + expert + 256.0 * 7168.0;
  double const numbers = 8.0 * (common + 4.0 * expert);
  // 17 chunks in flight, of 4 layers and 4,096 tokens
  double const kept = kept_bytes(v3, Products::fp8, true);
  CHECK(kept == Approx(2.0 * 7168 * 2                                 // residual before either norm
                       + (1536 + 512 + 64) * 2                        // latents
                       + 128 * 128 * 1.5 + 128 * 4                    // output of attention, log-sum-exp
                       + 8 * (7168 + 2 * 2048) * (1.0 + 4.0 / 128.0)  // dispatched tokens, inputs of SwiGLU
                       + 2 * 2048 * (1.0 + 4.0 / 128.0)               // of the shared expert
                       + 256 * 4 + 8 * 8));                           // scores, choices and gates
  DeviceMemory const& m = v3_cost.memory;
  CHECK(m.weights == Approx(2.0 * numbers));
  CHECK(m.gradients == Approx(4.0 * numbers));
  CHECK(m.optimizer ==
        Approx(8.0 * 8.0 * (common / 256.0 + 4.0 * expert / 4.0)));  // 128 · 2 and 128 · 2 / 64 replicas
  CHECK(m.activations == Approx(17.0 * 4.0 * 4096.0 * kept));
  CHECK(m.total() < 80e9);
  CHECK(v3_cost.fits);
  // Without ZeRO-1 or with one-directional experts on fewer devices it does not.
  CHECK_FALSE(changed([](ParallelPlan& p) { p.expert = 16; }).fits);
  DeviceMemory const whole = changed([](ParallelPlan& p) { p.zero1 = false; }).memory;
  CHECK(whole.optimizer == Approx(2.0 * whole.gradients));  // 8 bytes of state, 4 of gradient for each number
}

TEST_CASE("devices hold the layers and keep the chunks of their stages") {
  auto const parts = [](ParallelPlan const& plan, LayerSplit const& split) {
    std::vector<DevicePart> found;
    detail::for_each_part(v3, plan, split, [&](DevicePart const& part) { found.push_back(part); });
    return found;
  };
  // DualPipe: 4 layers of either stage in 17 chunks; the pipeline's first stage (3 dense layers and one) in
  // 16, its last (one layer and the MTP block) in one.
  auto const both = parts(v3_plan, v3_cost.layers);
  REQUIRE(both.size() == 2);
  CHECK((both[0].dense_layers == 0.0 && both[0].expert_layers == 8.0 && both[0].expert_in_flight == 68.0));
  CHECK((both[1].dense_layers == 3.0 && both[1].expert_layers == 3.0 && both[1].embedding && both[1].head));
  CHECK((both[1].dense_in_flight == 48.0 && both[1].expert_in_flight == 16.0 + 2.0));
  // 1F1B, 15 stages of 4 layers and one of 1: the first keeps 16 chunks, the last one.
  ParallelPlan plan = v3_plan;
  plan.schedule = Schedule::one_f_one_b;
  auto const stages = parts(plan, {.inner = 4, .outer = 1});
  REQUIRE(stages.size() == 3);
  CHECK((stages[0].embedding && !stages[0].head && stages[0].dense_in_flight == 48.0 &&
         stages[0].expert_in_flight == 16.0));
  CHECK((stages[1].expert_layers == 4.0 && stages[1].expert_in_flight == 64.0));
  CHECK((stages[2].head && stages[2].mtp == 1.0 && stages[2].expert_layers == 2.0 &&
         stages[2].expert_in_flight == 2.0));
  plan.pipeline = 1;
  auto const one = parts(plan, {.inner = 0, .outer = 61});
  REQUIRE(one.size() == 1);
  CHECK((one[0].dense_layers == 3.0 && one[0].expert_layers == 59.0 && one[0].embedding && one[0].head));
}

TEST_CASE("the head counts when layers are dealt out") {
  // 64 layers on 8 kinds of devices would be 8 each; a head and MTP module of 3.6 layers leave one layer
  // beside them.
  constexpr ModelConfig even = with(v3, [](ModelConfig& c) { c.layers = 64; });
  LayerSplit const split = cost_plan(even, v3_tokens, h800, v3_plan).layers;
  CHECK(split.inner == 9);
  CHECK(split.outer == 1);
}

TEST_CASE("the memory of one machine is the trainer's") {
  ParallelPlan plan{.products = Products::fp32, .micro_rows = 4, .batch_rows = 16, .context = 256};
  for (auto const products : {Products::fp32, Products::bf16}) {
    plan.products = products;
    TrainingTypes const types = products == Products::fp32 ? training_types<Fp32>() : training_types<Bf16>();
    TrainingMemory const trainer =
        training_memory(presets::mini, {.rows = 16, .length = 256, .micro_rows = 4}, types, zen4.threads);
    CHECK(cost_plan(presets::mini, 1e9, zen4, plan).memory.total() == static_cast<double>(trainer.total()));
  }
}

TEST_CASE("one machine trains as fast as measured") {
  // docs/reference/speed.md: presets::mini, 16 x 256, 3,434 tokens/s in FP32 and 5,505 in BF16
  ParallelPlan plan{.products = Products::fp32, .micro_rows = 16, .batch_rows = 16, .context = 256};
  CostPlan const fp32 = cost_plan(presets::mini, 1e9, zen4, plan);
  CHECK(fp32.tokens_per_second == Approx(3434.0).epsilon(0.03));
  CHECK(fp32.step.bubble + fp32.step.communication + fp32.step.gradients + fp32.step.waits == 0.0);
  CHECK(fp32.step.imbalance == Approx(0.0).margin(1e-9));
  CHECK(fp32.utilization == Approx(0.66));
  plan.products = Products::bf16;
  CHECK(cost_plan(presets::mini, 1e9, zen4, plan).tokens_per_second == Approx(5505.0).epsilon(0.03));
}

TEST_CASE("more and better machines never take longer") {
  double days = 1e300;
  for (int const data : {64, 128, 256}) {
    double const now = changed([&](ParallelPlan& p) { p.data = data; }).days;
    CHECK(now < days);
    days = now;
  }
  CHECK(changed([](ParallelPlan& p) { p.batch_rows *= 2; }).device_hours < v3_cost.device_hours);
  for (double Hardware::*const field : {&Hardware::fp8_peak, &Hardware::bf16_peak,
                                        &Hardware::memory_bandwidth, &Hardware::network_bandwidth}) {
    Hardware better = h800;
    better.*field *= 1.5;
    CHECK(cost_plan(v3, v3_tokens, better, v3_plan).device_hours < v3_cost.device_hours);
  }
  CHECK(cost_plan(v3, 2.0 * v3_tokens, h800, v3_plan).device_hours == Approx(2.0 * v3_cost.device_hours));
  // What V3 did about communication: without overlap the same run takes half as long again, in BF16 longer
  // still.
  double const plain = changed([](ParallelPlan& p) { p.schedule = Schedule::zb1p; }).device_hours;
  CHECK(plain > 1.2 * v3_cost.device_hours);
  CHECK(changed([](ParallelPlan& p) { p.schedule = Schedule::one_f_one_b; }).device_hours > plain);
  CHECK(changed([](ParallelPlan& p) { p.products = Products::bf16; }).device_hours > v3_cost.device_hours);
}

TEST_CASE("every rate matters in its direction, products of layers most") {
  auto const worse = hours_if_worse(v3, v3_tokens, h800, v3_plan, fp8_hopper_rates);
  for (double const hours : worse) {
    CHECK(hours > v3_cost.device_hours);
    CHECK(hours <= worse[0]);
  }
  CHECK(worse[0] / v3_cost.device_hours - 1.0 == Approx(0.039).margin(0.002));
}

TEST_CASE("plans of every model are finite and positive") {
  for (ModelConfig const* c : {&presets::deepseek_v3, &presets::deepseek_v2, &presets::deepseek_v2_lite,
                               &presets::kimi_k2, &presets::moonlight_16b_a3b, &presets::medium})
    for (auto const schedule : {Schedule::one_f_one_b, Schedule::zb1p, Schedule::dual_pipe})
      for (auto const products : {Products::bf16, Products::fp8})
        for (int const tensor : {1, 2}) {
          ParallelPlan const plan{.data = 16,
                                  .pipeline = 4,
                                  .expert = 16,
                                  .tensor = tensor,
                                  .schedule = schedule,
                                  .products = products,
                                  .batch_rows = 16 * 12,
                                  .context = 2048};
          require_valid(plan, *c, h800, "test");
          CostPlan const e = cost_plan(*c, 1e12, h800, plan);
          for (double const part :
               {e.step.computing.products, e.step.computing.wide, e.step.computing.attention,
                e.step.computing.others, e.step.communication, e.step.bubble, e.step.gradients,
                e.memory.weights, e.memory.gradients, e.memory.optimizer, e.memory.activations,
                e.memory.buffers, e.device_hours})
            CHECK((part > 0.0 && detail::is_finite(part)));
          CHECK(e.step.imbalance >= 0.0);
          CHECK(e.utilization < 1.0);
        }
}
