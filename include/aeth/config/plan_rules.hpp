/// The rules of a parallel plan for a model on a machine, and the message that lists all that are broken.
#pragma once

#include <string>
#include <string_view>

#include "aeth/config/hardware.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/parallel_plan.hpp"
#include "aeth/config/rules.hpp"
#include "aeth/config/violations.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"

namespace aeth {
namespace detail {

/// n mod d, or 0 if d is not positive (another rule reports that).
[[nodiscard]] constexpr Index rest(Index n, Index d) noexcept {
  return d > 0 ? n % d : 0;
}

/// Reports the rules of sizes alone; false if a later rule could not be evaluated.
template <class Report>
constexpr bool plan_sizes(ParallelPlan const& p, Report&& report) {
  bool usable = true;
  auto const positive = [&](Index value, char const* sentence) {
    if (value > 0) return;
    usable = false;
    report(sentence, value, ">", 0);
  };
  positive(p.data, "ParallelPlan::data must be positive; write 1 for no data parallelism");
  positive(p.pipeline, "ParallelPlan::pipeline must be positive; write 1 for no pipeline");
  positive(p.expert, "ParallelPlan::expert must be positive; write 1 for no expert parallelism");
  positive(p.tensor, "ParallelPlan::tensor must be positive; write 1 for no tensor parallelism");
  positive(p.micro_rows, "ParallelPlan::micro_rows must be positive; it is the sequences at once");
  positive(p.batch_rows, "ParallelPlan::batch_rows must be positive; it is the sequences of a step");
  positive(p.context, "ParallelPlan::context must be positive; it is the tokens of a sequence");
  Index const largest = max(max(max(Index{p.data}, Index{p.pipeline}), max(Index{p.expert}, Index{p.tensor})),
                            max(max(Index{p.micro_rows}, Index{p.context}), p.batch_rows));
  if (largest > largest_extent) {
    usable = false;
    report("ParallelPlan has a size above 16777216; check it for a misplaced digit", largest,
           "<=", Index{largest_extent});
  }
  double const devices = double(p.data) * p.pipeline * p.tensor;
  if (usable && devices > largest_extent) {
    usable = false;
    report("ParallelPlan has more than 16777216 devices, data times pipeline times tensor; lower one",
           devices, "<=", Index{largest_extent});
  }
  if (usable && p.micro_tokens() > largest_extent) {
    usable = false;
    report("ParallelPlan has more than 16777216 tokens at once, micro_rows times context; lower one",
           p.micro_tokens(), "<=", Index{largest_extent});
  }
  return usable;
}

}  // namespace detail

/// Calls report(sentence, left value, "op", right value) for each broken rule. The model must be valid.
template <class Report>
constexpr void for_each_violation(ParallelPlan const& p, ModelConfig const& c, Hardware const& hw,
                                  Report&& report) {
  if (!detail::plan_sizes(p, report)) return;
  auto const at_most = [&](Index left, Index right, char const* sentence) {
    if (left > right) report(sentence, left, "<=", right);
  };
  auto const divides = [&](Index divisor, Index number, char const* sentence) {
    if (Index const rest = detail::rest(number, divisor); rest != 0) report(sentence, rest, "==", 0);
  };
  at_most(p.pipeline, c.layers,
          "ParallelPlan::pipeline must not exceed ModelConfig::layers; each stage needs a layer");
  at_most(p.context, c.max_context, "ParallelPlan::context must not exceed ModelConfig::max_context");
  divides(p.tensor, c.mla.heads,
          "ParallelPlan::tensor must divide MlaConfig::heads; each device computes whole heads");
  divides(p.tensor, c.ffn_dim,
          "ParallelPlan::tensor must divide ModelConfig::ffn_dim; all devices get as many columns");
  at_most(p.tensor, hw.node_devices,
          "ParallelPlan::tensor must not exceed Hardware::node_devices; its sums need the node's links");
  if (c.moe.experts == 0)
    at_most(p.expert, 1, "ParallelPlan::expert must be 1 for a model without experts");
  else
    divides(p.expert, c.moe.experts,
            "ParallelPlan::expert must divide MoeConfig::experts; each device holds as many");
  divides(p.expert, Index{p.data} * p.tensor,
          "ParallelPlan::expert must divide data times tensor; expert groups consist of those ranks");
  divides(Index{p.data} * p.micro_rows, p.batch_rows,
          "ParallelPlan::batch_rows must be a multiple of data times micro_rows; each rank gets as many "
          "micro-batches");
  if (p.schedule == Schedule::dual_pipe) {
    divides(2, p.pipeline, "ParallelPlan::pipeline must be even for DualPipe; stages come in pairs");
    divides(2, p.micro_batches(),
            "ParallelPlan::batch_rows must give an even number of micro-batches for DualPipe; half of "
            "them come from either end");
    at_most(Index{2} * p.pipeline, p.micro_batches(),
            "ParallelPlan::batch_rows must give twice as many micro-batches as stages for DualPipe; "
            "raise it, or lower data or pipeline");
  }
  if (p.schedule == Schedule::zb1p)
    at_most(p.pipeline, p.micro_batches(),
            "ParallelPlan::batch_rows must give as many micro-batches as stages for ZB1P; raise it, or "
            "lower data or pipeline");
  auto const has = [&](double value, char const* sentence) {
    if (!(value > 0.0)) report(sentence, value, ">", 0);
  };
  if (p.products == Products::fp8)
    has(hw.fp8_peak, "ParallelPlan::products is fp8, which this hardware has not; choose bf16");
  if (p.products != Products::fp32)
    has(hw.bf16_peak, "ParallelPlan::products needs BF16, which this hardware has not; choose fp32");
  if (p.products == Products::fp32)
    has(hw.fp32_peak,
        "ParallelPlan::products is fp32, but no rate of that is known of this hardware; choose bf16");
  if (p.products == Products::fp8 && p.devices() == 1)
    report("ParallelPlan::products must be fp32 or bf16 on one device; this library's trainer has no FP8",
           p.devices(), ">", 1);
  if (p.devices() > 1)
    has(hw.node_devices > 1 ? hw.node_bandwidth : hw.network_bandwidth,
        "ParallelPlan has several devices, but this hardware has no link between them");
  if (p.devices() > hw.node_devices)
    has(hw.network_bandwidth, "ParallelPlan has several nodes, but this hardware has no network");
}

/// Throws one UsageError that lists all broken rules; `where` says where the plan comes from.
///
/// errors   UsageError; ConfigError if the model itself breaks a rule
inline void require_valid(ParallelPlan const& plan, ModelConfig const& config, Hardware const& hardware,
                          std::string_view where) {
  require_valid(config, where);
  std::string list;
  for_each_violation(plan, config, hardware, detail::ViolationList{list});
  expect<UsageError>(list.empty(), where, ": this plan cannot run:\n", list);
}

}  // namespace aeth
