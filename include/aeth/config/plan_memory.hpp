/// The memory of the fullest device of a planned run, by its place.
///
/// One device is this library's trainer: `config/training_memory.hpp` knows it within 5 %. Several devices
/// keep what DeepSeek-V3's training keeps: norms and the up-projections of attention are done again in
/// backward, inputs of products are kept in FP8 if products are FP8. Not counted: the driver's own memory,
/// communication libraries, fragmentation.
///
/// source   DeepSeek-V3, arXiv:2412.19437, §3.2.3, §3.3.3
/// legend   D width · H heads · Q query rank · C latent rank · N, R, U head sizes · E experts · K per token ·
///          F expert width · V vocabulary
#pragma once

#include "aeth/config/hardware.hpp"
#include "aeth/config/layer_counts.hpp"
#include "aeth/config/model_card.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/parallel_plan.hpp"
#include "aeth/config/pipeline_schedule.hpp"
#include "aeth/config/plan_time.hpp"
#include "aeth/config/training_memory.hpp"
#include "aeth/config/training_types.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// Bytes.
struct DeviceMemory {
  double weights = 0.0;      ///< in BF16; on one device also the packed copies
  double gradients = 0.0;    ///< FP32
  double optimizer = 0.0;    ///< this device's shards of masters and moments; on one device the moments
  double activations = 0.0;  ///< of all chunks in flight
  double buffers =
      0.0;  ///< operands of the layer at work, logits, messages between stages; on one device scratch

  [[nodiscard]] constexpr double total() const noexcept {
    return weights + gradients + optimizer + activations + buffers;
  }
};

/// What a device of a pipeline holds.
struct DevicePart {
  double dense_layers = 0.0;
  double expert_layers = 0.0;  ///< MTP blocks too, if the model has experts
  double mtp = 0.0;            ///< MTP projections
  bool embedding = false;
  bool head = false;
  double dense_in_flight = 0.0;   ///< chunks whose activations are kept, times their layers
  double expert_in_flight = 0.0;  ///< the same of layers with experts
};

/// Trained numbers on a device: those that all data ranks hold, and experts, which an expert group shares out.
struct DeviceParameters {
  double common = 0.0;
  double experts = 0.0;
};

[[nodiscard]] constexpr DeviceParameters device_parameters(ModelConfig const& c, ParallelPlan const& plan,
                                                           DevicePart const& part) noexcept {
  double const width = c.dim, tensor = plan.tensor;
  double const expert = static_cast<double>(expert_parameters(c));
  double const attention = static_cast<double>(attention_parameters(c)) / tensor + 2.0 * width;
  double const dense = attention + static_cast<double>(dense_ffn_parameters(c)) / tensor;
  double const moe = attention + c.moe.shared * expert / tensor +
                     static_cast<double>(router_parameters(c) - selection_bias_entries(c));
  double const table = double(c.vocab_size) * width / tensor;
  return {.common = part.dense_layers * dense + part.expert_layers * moe +
                    part.mtp * (2.0 * width * width / tensor + 3.0 * width) + (part.embedding ? table : 0.0) +
                    (part.head ? table + width : 0.0),
          .experts = part.expert_layers * c.moe.experts * expert / plan.expert};
}

/// Devices that hold the same numbers: the ranks that exchange their gradients.
[[nodiscard]] constexpr double common_replicas(ParallelPlan const& plan) noexcept {
  return double(plan.data) * stages_per_device(plan.schedule);
}
[[nodiscard]] constexpr double expert_replicas(ParallelPlan const& plan) noexcept {
  return double(plan.data) * plan.tensor / plan.expert * stages_per_device(plan.schedule);
}

/// Bytes that one token leaves in a layer until backward: the residual stream before either norm, the
/// latents, the output of attention (E5M6 under FP8, 12 bits) with its log-sum-exp; of the FFN the inputs of
/// SwiGLU, and of routed experts the tokens as they were dispatched, in FP8 with a scale per 128, else in
/// BF16; the router's scores and choices in FP32. Full-rank queries are kept, as there is no latent to make
/// them from.
[[nodiscard]] constexpr double kept_bytes(ModelConfig const& c, Products products,
                                          bool has_experts) noexcept {
  MlaConfig const& m = c.mla;
  bool const fp8 = products == Products::fp8;
  double const number = products == Products::fp32 ? 4.0 : 2.0, narrow = fp8 ? 1.0 + 4.0 / 128.0 : number;
  double const heads = m.heads, width = c.dim, hidden = c.moe.hidden_dim, k = c.moe.top_k;
  double const queries = m.q_rank > 0 ? double(m.q_rank) : heads * m.qk_dim();
  double const attention = 2.0 * width * number + (queries + m.kv_rank + m.rope_dim) * number +
                           heads * m.v_dim * (fp8 ? 1.5 : number) + heads * 4.0;
  if (!has_experts) return attention + 2.0 * c.ffn_dim * narrow;
  return attention + k * (width + 2.0 * hidden) * narrow + 2.0 * c.moe.shared * hidden * narrow +
         4.0 * c.moe.experts + 8.0 * k;
}

namespace detail {

/// Calls visit(part) for each kind of device that may be the fullest.
template <class Visit>
constexpr void for_each_part(ModelConfig const& c, ParallelPlan const& plan, LayerSplit const& split,
                             Visit&& visit) {
  double const mtp = c.mtp_depth, mtp_experts = c.moe.experts > 0 ? mtp : 0.0;
  Index const moe = moe_layers(c), dense = dense_ffn_layers(c);
  double const deepest =
      static_cast<double>(chunks_in_flight(plan.schedule, plan.pipeline, plan.micro_batches()));
  // n layers, those without experts first, in so many chunks at once
  auto const stage = [&](DevicePart part, Index n, Index without, double chunks) {
    double const none = static_cast<double>(min(n, without)), some = static_cast<double>(n) - none;
    part.dense_layers += none;
    part.expert_layers += some;
    part.dense_in_flight += none * chunks;
    part.expert_in_flight += some * chunks;
    return part;
  };
  auto const last = [&](DevicePart part, Index n, Index without) {
    part = stage(part, n, without, 1.0);
    part.head = true;
    part.mtp = mtp;
    part.expert_layers += mtp_experts;
    part.expert_in_flight += mtp_experts;
    part.dense_layers += mtp - mtp_experts;
    part.dense_in_flight += mtp - mtp_experts;
    return part;
  };
  DevicePart const first{.embedding = true};
  if (plan.pipeline == 1) return visit(last(first, c.layers, dense));
  if (plan.schedule == Schedule::dual_pipe) {
    Index const front =
        min(split.outer, ceil_div(split.inner, Index{2}));  // of its two stages, the pipeline's first
    visit(stage({}, split.inner, max(split.inner - moe, Index{0}), deepest / 2.0));
    return visit(last(stage(first, front, dense, min(deepest, static_cast<double>(plan.pipeline))),
                      split.outer - front, max(dense - front, Index{0})));
  }
  visit(stage(first, split.inner, dense, deepest));
  visit(stage({}, split.inner, max(split.inner - moe, Index{0}), deepest));
  visit(last({}, split.outer, max(split.outer - moe, Index{0})));
}

}  // namespace detail

[[nodiscard]] constexpr DeviceMemory part_memory(ModelConfig const& c, ParallelPlan const& plan,
                                                 DevicePart const& part,
                                                 TrainingWidths const& w = {}) noexcept {
  DeviceParameters const n = device_parameters(c, plan, part);
  double const both = n.common + n.experts, tokens = plan.micro_tokens() / plan.tensor;
  double const state = static_cast<double>(w.master + w.first_moment + w.second_moment);
  bool const moe = part.expert_layers > 0.0;
  double const operands = layer_work(c, plan, moe).operands * stages_per_device(plan.schedule);
  return {
      .weights = both * static_cast<double>(w.weight),
      .gradients = both * static_cast<double>(w.gradient),
      .optimizer =
          state * (plan.zero1 ? n.common / common_replicas(plan) + n.experts / expert_replicas(plan) : both),
      .activations = tokens * (part.dense_in_flight * kept_bytes(c, plan.products, false) +
                               part.expert_in_flight * kept_bytes(c, plan.products, true)),
      .buffers = tokens * (2.0 * operands + (plan.pipeline > 1 ? 4.0 * 2.0 * c.dim : 0.0) +
                           (part.head ? 4.0 * c.vocab_size : 0.0))};
}

/// Of the fullest device. `split` as `split_layers` gives it.
[[nodiscard]] constexpr DeviceMemory device_memory(ModelConfig const& c, ParallelPlan const& plan,
                                                   Hardware const& hw, LayerSplit const& split) {
  if (plan.devices() == 1) {
    bool const narrow = plan.products != Products::fp32;
    TrainingTypes const types =
        narrow ? TrainingTypes{.packed = 2, .packed_group = 2, .activation = 2} : TrainingTypes{};
    TrainingMemory const m =
        training_memory(c, {.rows = plan.batch_rows, .length = plan.context, .micro_rows = plan.micro_rows},
                        types, max(hw.threads, 1));
    return {.weights = static_cast<double>(m.weights + m.packed),
            .gradients = static_cast<double>(m.gradients),
            .optimizer = static_cast<double>(m.moments),
            .activations = static_cast<double>(m.activations),
            .buffers = static_cast<double>(m.scratch)};
  }
  DeviceMemory fullest;
  detail::for_each_part(c, plan, split, [&](DevicePart const& part) {
    DeviceMemory const memory = part_memory(c, plan, part);
    if (memory.total() > fullest.total()) fullest = memory;
  });
  return fullest;
}

}  // namespace aeth
