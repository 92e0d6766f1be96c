/// What a training run costs: seconds of a step, hours, money and memory, from the model, the tokens, the
/// machine, the parallel plan and measured rates.
///
/// Nothing is fitted to a published run. For DeepSeek-V3's pre-training it gives 2.54 million hours of H800;
/// 2.664 million were published. Where they go, and what is left out, is in docs/explanation/cost.md; the
/// $300,000 that go around as the price of a DeepSeek model are something else: `config/published_cost.hpp`.
#pragma once

#include <array>
#include <cstddef>

#include "aeth/config/hardware.hpp"
#include "aeth/config/model_card.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/parallel_plan.hpp"
#include "aeth/config/pipeline_schedule.hpp"
#include "aeth/config/plan_memory.hpp"
#include "aeth/config/plan_time.hpp"
#include "aeth/config/training_rates.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// Where the seconds of a step go. Computing is that of the mean device.
struct StepSeconds {
  ComputeSeconds computing{};
  double imbalance = 0.0;      ///< the slowest device computes longer, because layers are whole
  double waits = 0.0;          ///< in overlapped chunks
  double communication = 0.0;  ///< between devices, hidden by nothing
  double bubble = 0.0;         ///< of the pipeline
  double gradients = 0.0;      ///< exchange of gradients and weights after the last micro-batch

  [[nodiscard]] constexpr double total() const noexcept {
    return computing.total() + imbalance + waits + communication + bubble + gradients;
  }
};

struct CostPlan {
  double tokens = 0.0;           ///< of the run
  double flops_per_token = 0.0;  ///< of forward and backward, `training_flops_per_token`
  Index devices = 0;
  Index micro_batches = 0;  ///< of a step, on each data rank
  LayerSplit layers{};
  ChunkTimes chunk{};  ///< of the slowest device
  StepSeconds step{};
  double steps = 0.0;  ///< of the whole batch; not rounded
  double days = 0.0;
  double device_hours = 0.0;
  double dollars = 0.0;            ///< 0 if no rent is known
  double tokens_per_second = 0.0;  ///< of all devices
  double utilization = 0.0;        ///< flops_per_token over the peak of products that are not in FP8
  DeviceMemory memory{};
  bool fits = true;  ///< memory within the device's; true if that is not known
};

/// The rates that go with a machine and a type of numbers.
[[nodiscard]] constexpr TrainingRates const& rates_of(Hardware const& hw, Products products) noexcept {
  if (hw.threads > 0) return products == Products::fp32 ? fp32_processor_rates : bf16_processor_rates;
  return products == Products::fp8 ? fp8_hopper_rates : bf16_hopper_rates;
}

namespace detail {

/// Seconds in which the ranks that hold the same numbers add up gradients, in FP32, and with ZeRO-1 send one
/// another the updated weights, in BF16. Nothing hides them. The slowest kind of device counts.
[[nodiscard]] constexpr double gradient_seconds(ModelConfig const& c, ParallelPlan const& plan,
                                                PlanClock const& clock, LayerSplit const& split) {
  constexpr TrainingWidths widths{};
  double const bytes =
      static_cast<double>(plan.zero1 ? widths.gradient + widths.weight : 2 * widths.gradient);
  auto const sent = [](double replicas) { return replicas > 1.0 ? (replicas - 1.0) / replicas : 0.0; };
  double most = 0.0;
  for_each_part(c, plan, split, [&](DevicePart const& part) {
    DeviceParameters const n = device_parameters(c, plan, part);
    most = max(most, n.common * sent(common_replicas(plan)) + n.experts * sent(expert_replicas(plan)));
  });
  return most > 0.0 ? clock.message(most * bytes, clock.outer_bandwidth()) : 0.0;
}

/// A chunk of one kind of device.
struct PlanChunk {
  ChunkTimes times{};
  double computing = 0.0;  ///< seconds of forward and backward
  double sent = 0.0;       ///< seconds of messages in one direction
  double busy = 0.0;       ///< seconds of a micro-batch, forward and backward, once the pipeline is full
};

/// Of `layers` mean layers and a share of the head, which may be a fraction: the mean of the stages of a
/// device.
[[nodiscard]] constexpr PlanChunk plan_chunk(ModelConfig const& c, ParallelPlan const& plan,
                                             PlanClock const& clock, double layers, double heads) noexcept {
  TokenWork const work = layers * mean_layer_work(c, plan) + heads * head_work(c, plan);
  double const mtp = heads * c.mtp_depth;
  double const with_experts = layers * static_cast<double>(moe_layers(c)) / c.layers + mtp;
  double const sent =
      with_experts * clock.all_to_all() + (layers + mtp) * clock.tensor_sums() + clock.hand_over();
  double const computing = clock.both(work).total(), forward = clock.forward(work);
  ChunkTimes const times{.forward = forward + sent,
                         .backward = computing - forward + sent,
                         .weight = clock.weight(work),
                         .pair = clock.overlapped(computing, 2.0 * sent)};
  return {.times = times,
          .computing = computing,
          .sent = sent,
          .busy = plan.schedule == Schedule::dual_pipe ? times.pair : times.forward + times.backward};
}

}  // namespace detail

/// The estimate. Model and plan must be valid (`config/plan_rules.hpp`), tokens positive.
[[nodiscard]] constexpr CostPlan cost_plan(ModelConfig const& c, double tokens, Hardware const& hw,
                                           ParallelPlan const& plan, TrainingRates const& rates) {
  PlanClock const clock(c, plan, hw, rates);
  Schedule const schedule = plan.schedule;
  double const held = stages_per_device(schedule), stages = plan.pipeline;
  auto const chunk_of = [&](double layers, double heads) {
    return detail::plan_chunk(c, plan, clock, layers / held, heads / held);
  };
  // What layers and the head weigh when they are dealt out: what they send counts where nothing hides it.
  auto const weight = [&](detail::PlanChunk const& chunk) {
    return chunk.computing + (schedule == Schedule::dual_pipe ? 0.0 : 2.0 * (chunk.sent - clock.hand_over()));
  };
  LayerSplit const split = split_layers(c.layers, plan.pipeline / stages_per_device(schedule),
                                        weight(chunk_of(0.0, 1.0)) / weight(chunk_of(1.0, 0.0)));
  detail::PlanChunk const inner = chunk_of(static_cast<double>(split.inner), 0.0);
  detail::PlanChunk const outer = chunk_of(static_cast<double>(split.outer), 1.0);
  detail::PlanChunk const slowest = inner.busy > outer.busy ? inner : outer;
  detail::PlanChunk const mean = detail::plan_chunk(c, plan, clock, c.layers / stages, 1.0 / stages);

  Index const n = plan.micro_batches();
  double const count = static_cast<double>(n);
  double const alone = static_cast<double>(unpaired_chunks(schedule, plan.pipeline, n));
  double const uneven =
      count * (slowest.computing - mean.computing) + alone * 2.0 * (slowest.sent - mean.sent);
  TokenWork const model = static_cast<double>(c.layers) * mean_layer_work(c, plan) + head_work(c, plan);
  StepSeconds const step{
      .computing = (count / stages) * clock.both(model),
      .imbalance = max(uneven, 0.0),
      .waits = (count - alone) * (slowest.times.pair - slowest.computing) + min(uneven, 0.0),
      .communication = alone * 2.0 * mean.sent,
      .bubble = bubble_seconds(schedule, plan.pipeline, slowest.times),
      .gradients = detail::gradient_seconds(c, plan, clock, split)};

  double const seconds = step.total(), devices = static_cast<double>(plan.devices());
  double const steps = tokens / plan.step_tokens(), hours = steps * seconds * devices / 3600.0;
  double const flops = training_flops_per_token(c, plan.context), rate = plan.step_tokens() / seconds;
  DeviceMemory const memory = device_memory(c, plan, hw, split);
  return {.tokens = tokens,
          .flops_per_token = flops,
          .devices = plan.devices(),
          .micro_batches = n,
          .layers = split,
          .chunk = slowest.times,
          .step = step,
          .steps = steps,
          .days = steps * seconds / 86400.0,
          .device_hours = hours,
          .dollars = hours * hw.dollars_per_hour,
          .tokens_per_second = rate,
          .utilization = flops * rate / (devices * clock.wide_peak()),
          .memory = memory,
          .fits = hw.memory <= 0.0 || memory.total() <= hw.memory};
}

[[nodiscard]] constexpr CostPlan cost_plan(ModelConfig const& c, double tokens, Hardware const& hw,
                                           ParallelPlan const& plan) {
  return cost_plan(c, tokens, hw, plan, rates_of(hw, plan.products));
}

/// Device hours if one rate after another, in the order of `rate_fields`, were `share` worse.
[[nodiscard]] constexpr std::array<double, rate_fields.size()> hours_if_worse(
    ModelConfig const& c, double tokens, Hardware const& hw, ParallelPlan const& plan,
    TrainingRates const& rates, double share = 0.1) {
  std::array<double, rate_fields.size()> hours{};
  for (std::size_t i = 0; i < rate_fields.size(); ++i) {
    TrainingRates worse = rates;
    (worse.*rate_fields[i].field).value *= rate_fields[i].is_cost ? 1.0 + share : 1.0 - share;
    hours[i] = cost_plan(c, tokens, hw, plan, worse).device_hours;
  }
  return hours;
}

}  // namespace aeth
