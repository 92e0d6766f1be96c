/// The seconds that parts of a planned training step take: computing, and what devices send one another.
///
/// legend   D width · H heads · Q query rank · C latent rank · N, R, U head sizes · E experts · K per token ·
///          F expert width · V vocabulary
#pragma once

#include "aeth/config/hardware.hpp"
#include "aeth/config/layer_counts.hpp"
#include "aeth/config/model_card.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/parallel_plan.hpp"
#include "aeth/config/training_rates.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// What one token takes in a part of a model. FLOPs are of the forward pass.
struct TokenWork {
  double products = 0.0;    ///< FLOPs in the plan's numbers
  double wide = 0.0;        ///< FLOPs in BF16 even if those are FP8
  double attention = 0.0;   ///< FLOPs of scores and weighted sums
  double recomputed = 0.0;  ///< FLOPs of products that backward does again
  double operands = 0.0;    ///< numbers that enter or leave a product

  friend constexpr TokenWork operator+(TokenWork const& a, TokenWork const& b) noexcept {
    return {a.products + b.products, a.wide + b.wide, a.attention + b.attention, a.recomputed + b.recomputed,
            a.operands + b.operands};
  }
  friend constexpr TokenWork operator*(double n, TokenWork const& a) noexcept {
    return {n * a.products, n * a.wide, n * a.attention, n * a.recomputed, n * a.operands};
  }
};

namespace detail {

/// Numbers that enter or leave the products of an FFN for one token: D to two hidden vectors, one back to D.
[[nodiscard]] constexpr double ffn_operands(ModelConfig const& c, double hidden) noexcept {
  return 2.0 * c.dim + 3.0 * hidden;
}

[[nodiscard]] constexpr double attention_operands(ModelConfig const& c) noexcept {
  MlaConfig const& m = c.mla;
  double const heads = m.heads, query = heads * m.qk_dim();
  double const queries = m.q_rank > 0 ? c.dim + 2.0 * m.q_rank + query : c.dim + query;
  return queries + c.dim + m.kv_rank + m.rope_dim + m.kv_rank + heads * (double(m.nope_dim) + m.v_dim) +
         heads * m.v_dim + c.dim;
}

}  // namespace detail

/// One layer, for a token that attends to half of `context` on average. Several devices do the up-projections
/// of attention again in backward (DeepSeek-V3 §3.2.3); one device, which is this library's trainer, does
/// nothing again.
[[nodiscard]] constexpr TokenWork layer_work(ModelConfig const& c, ParallelPlan const& plan,
                                             bool has_experts) noexcept {
  MlaConfig const& m = c.mla;
  double const keys = (plan.context + 1.0) / 2.0, projections = detail::attention_flops(c, 0.0);
  double const router = has_experts ? 2.0 * c.moe.experts * c.dim : 0.0;
  double const ffn = has_experts ? detail::moe_flops(c) : 2.0 * static_cast<double>(dense_ffn_parameters(c));
  double const up =
      2.0 * m.heads * (double(m.q_rank) * m.qk_dim() + double(m.kv_rank) * (double(m.nope_dim) + m.v_dim));
  double const experts =
      c.moe.top_k * detail::ffn_operands(c, c.moe.hidden_dim) +
      (c.moe.shared > 0 ? detail::ffn_operands(c, double(c.moe.shared) * c.moe.hidden_dim) : 0.0);
  return {.products = projections + ffn - router,
          .wide = router,
          .attention = detail::attention_flops(c, keys) - projections,
          .recomputed = plan.devices() > 1 ? up : 0.0,
          .operands =
              detail::attention_operands(c) + (has_experts ? experts : detail::ffn_operands(c, c.ffn_dim))};
}

/// The head, and for each MTP module its block, its projection and the head once more.
[[nodiscard]] constexpr TokenWork head_work(ModelConfig const& c, ParallelPlan const& plan) noexcept {
  double const width = c.dim, depth = c.mtp_depth;
  TokenWork const head{.wide = detail::head_flops(c), .operands = width + c.vocab_size};
  TokenWork const projection{.wide = 4.0 * width * width, .operands = 3.0 * width};
  return head + depth * (head + projection + layer_work(c, plan, c.moe.experts > 0));
}

/// A layer of the main model, averaged over those with experts and those without.
[[nodiscard]] constexpr TokenWork mean_layer_work(ModelConfig const& c, ParallelPlan const& plan) noexcept {
  double const layers = c.layers, with_experts = static_cast<double>(moe_layers(c)) / layers;
  return with_experts * layer_work(c, plan, true) + (1.0 - with_experts) * layer_work(c, plan, false);
}

/// Seconds of forward and backward by what takes them.
struct ComputeSeconds {
  double products = 0.0;   ///< of layers
  double wide = 0.0;       ///< products of head, router and MTP projection
  double attention = 0.0;  ///< scores and weighted sums
  double others = 0.0;     ///< kernels that move memory

  [[nodiscard]] constexpr double total() const noexcept { return products + wide + attention + others; }
  friend constexpr ComputeSeconds operator*(double n, ComputeSeconds const& a) noexcept {
    return {n * a.products, n * a.wide, n * a.attention, n * a.others};
  }
};

/// Turns work into seconds on one of the plan's devices, and messages into seconds on its links.
class PlanClock {
 public:
  constexpr PlanClock(ModelConfig const& c, ParallelPlan const& plan, Hardware const& hw,
                      TrainingRates const& rates) noexcept
      : c_(c), plan_(plan), hw_(hw), rates_(rates) {}

  /// FLOP/s of products in layers, and of those that are not in FP8.
  [[nodiscard]] constexpr double peak() const noexcept {
    return plan_.products == Products::fp8 ? hw_.fp8_peak : wide_peak();
  }
  [[nodiscard]] constexpr double wide_peak() const noexcept {
    return plan_.products == Products::fp32 ? hw_.fp32_peak : hw_.bf16_peak;
  }

  /// Forward and backward of `work` for each token of a micro-batch.
  [[nodiscard]] constexpr ComputeSeconds both(TokenWork const& work) const noexcept {
    return {.products = products(3.0 * work.products + work.recomputed),
            .wide = wide(3.0 * work.wide),
            .attention = attention(work.attention, rates_.attention_forward) +
                         attention(2.0 * work.attention, rates_.attention_backward),
            .others = others(work.operands)};
  }
  [[nodiscard]] constexpr double forward(TokenWork const& work) const noexcept {
    return products(work.products) + wide(work.wide) + attention(work.attention, rates_.attention_forward) +
           others(work.operands) / 3.0;
  }
  /// The gradients of weights alone. Kernels that move memory are split evenly over forward, inputs and
  /// weights.
  [[nodiscard]] constexpr double weight(TokenWork const& work) const noexcept {
    return products(work.products) + wide(work.wide) + others(work.operands) / 3.0;
  }

  /// Tokens of a micro-batch to the experts of one layer and back; the gradients take as long. A token is
  /// sent once to each node of its experts, at most top_groups of them, and forwarded there while others
  /// still come in. Balanced experts. Dispatch in FP8 has a scale per 128 numbers, combine is in BF16
  /// (DeepSeek-V3 §3.2.2, §3.3.3).
  [[nodiscard]] constexpr double all_to_all() const noexcept {
    if (plan_.expert <= 1 || c_.moe.experts == 0) return 0.0;
    double const nodes = static_cast<double>(ceil_div(Index{plan_.expert}, Index{hw_.node_devices}));
    double const width = c_.dim;
    double const bytes =
        micro_tokens() *
        (plan_.products == Products::fp8 ? width * (1.0 + 4.0 / 128.0) + 2.0 * width : 4.0 * width);
    int const groups =
        c_.moe.groups > 1 && c_.moe.selection != Selection::greedy ? c_.moe.top_groups : c_.moe.top_k;
    double const remote = min(nodes, static_cast<double>(min(groups, c_.moe.top_k))) * (nodes - 1.0) / nodes;
    double const local =
        hw_.node_devices > 1
            ? message(c_.moe.top_k * bytes * (plan_.expert - 1.0) / plan_.expert, hw_.node_bandwidth)
            : 0.0;
    return nodes > 1.0 ? max(message(remote * bytes, hw_.network_bandwidth), local) : local;
  }

  /// The sums of tensor parallelism in one layer, forward or backward: two, in BF16, each device sending
  /// 2(t-1)/t of the numbers.
  [[nodiscard]] constexpr double tensor_sums() const noexcept {
    if (plan_.tensor <= 1) return 0.0;
    double const t = plan_.tensor;
    return message(2.0 * 2.0 * (t - 1.0) / t * plan_.micro_tokens() * c_.dim * 2.0, hw_.node_bandwidth);
  }

  /// A micro-batch to the next stage, in BF16.
  [[nodiscard]] constexpr double hand_over() const noexcept {
    return plan_.pipeline > 1 ? message(micro_tokens() * c_.dim * 2.0, outer_bandwidth()) : 0.0;
  }

  /// A forward and a backward chunk that overlap: the messages of both are hidden unless they take longer.
  [[nodiscard]] constexpr double overlapped(double computing, double sent) const noexcept {
    return max(computing, sent) * (1.0 + rates_.waits.value);
  }

  [[nodiscard]] constexpr double message(double bytes, double bandwidth) const noexcept {
    return bytes / (bandwidth * rates_.links.value);
  }
  /// Of the link between ranks that may be on different nodes.
  [[nodiscard]] constexpr double outer_bandwidth() const noexcept {
    return plan_.devices() > hw_.node_devices ? hw_.network_bandwidth : hw_.node_bandwidth;
  }

 private:
  [[nodiscard]] constexpr double micro_tokens() const noexcept { return plan_.micro_tokens() / plan_.tensor; }
  [[nodiscard]] constexpr double products(double flops) const noexcept {
    return flops * micro_tokens() / (peak() * rates_.products.value);
  }
  [[nodiscard]] constexpr double wide(double flops) const noexcept {
    return flops * micro_tokens() / (wide_peak() * rates_.wide_products.value);
  }
  [[nodiscard]] constexpr double attention(double flops, Assumption const& share) const noexcept {
    return flops * micro_tokens() / (wide_peak() * share.value);
  }
  [[nodiscard]] constexpr double others(double operands) const noexcept {
    double const bytes = operands * micro_tokens() * rates_.operand_bytes.value;
    return bytes > 0.0 ? bytes / hw_.memory_bandwidth : 0.0;
  }

  ModelConfig const& c_;
  ParallelPlan const& plan_;
  Hardware const& hw_;
  TrainingRates const& rates_;
};

}  // namespace aeth
