/// How a training run is spread over devices.
#pragma once

#include <string_view>

#include "aeth/config/pipeline_schedule.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// The numbers of the layers' matrix products.
enum class Products {
  fp32,
  bf16,
  fp8,  ///< with head, router, MTP projection and attention in BF16, as in DeepSeek-V3 §3.3.1
};

[[nodiscard]] constexpr std::string_view name_of(Products products) noexcept {
  return products == Products::fp32 ? "fp32" : products == Products::bf16 ? "bf16" : "fp8";
}

/// Degrees of parallelism, and what goes through. Rules: `config/plan_rules.hpp`.
///
/// Devices are data · pipeline · tensor. Expert groups consist of data and tensor ranks of a stage: `expert`
/// of them share the experts of a layer, the rest is the same on each. More than one device: activations are
/// kept as V3 keeps them (`config/plan_memory.hpp`). One device: this library's trainer.
struct ParallelPlan {
  int data = 1;
  int pipeline = 1;  ///< stages
  int expert = 1;
  int tensor = 1;     ///< devices of a node that share each matrix of attention and FFN
  bool zero1 = true;  ///< optimizer state sharded over data ranks
  Schedule schedule = Schedule::one_f_one_b;
  Products products = Products::bf16;
  int micro_rows = 1;    ///< sequences that go through a stage at once
  Index batch_rows = 1;  ///< sequences of a step, over all devices
  int context = 4096;    ///< tokens of a sequence

  [[nodiscard]] constexpr Index devices() const noexcept { return Index{data} * pipeline * tensor; }
  [[nodiscard]] constexpr Index micro_batches() const noexcept {
    return batch_rows / (Index{data} * micro_rows);
  }
  [[nodiscard]] constexpr double micro_tokens() const noexcept { return double(micro_rows) * context; }
  [[nodiscard]] constexpr double step_tokens() const noexcept {
    return static_cast<double>(batch_rows) * context;
  }
};

namespace presets {

/// 2,048 devices. Source: DeepSeek-V3, arXiv:2412.19437, §3.2 (PP16 with DualPipe, EP64 over 8 nodes, ZeRO-1,
/// no tensor parallelism), §4.2 (batch, context); one sequence at a time as in the published profile.
inline constexpr ParallelPlan deepseek_v3_plan{
    .data = 128,
    .pipeline = 16,
    .expert = 64,
    .tensor = 1,
    .zero1 = true,
    .schedule = Schedule::dual_pipe,
    .products = Products::fp8,
    .micro_rows = 1,
    .batch_rows = 15360,
    .context = 4096,
};

}  // namespace presets
}  // namespace aeth
