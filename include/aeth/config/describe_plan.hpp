/// Printing: a plan's estimate as tables, with every assumption, its source and what it would change.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "aeth/config/cost_plan.hpp"
#include "aeth/config/describe.hpp"
#include "aeth/config/hardware.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/parallel_plan.hpp"
#include "aeth/config/training_rates.hpp"
#include "aeth/core/text.hpp"

namespace aeth {
namespace detail {

/// "70.9 GB": decimal, as devices are sold.
[[nodiscard]] inline std::string gigabytes(double bytes) {
  return text(fixed(bytes * 1e-9, bytes < 1e9 ? 3 : 1), " GB");
}

[[nodiscard]] inline std::string whole(double n) {
  return n < 9e18 ? grouped(static_cast<Index>(n + 0.5)) : scientific(n, 3);
}

/// Three decimals, more where they are all that there is.
[[nodiscard]] inline std::string seconds_text(double seconds) {
  return seconds != 0.0 && seconds < 0.01 ? scientific(seconds, 2) : fixed(seconds, 3);
}

/// One row: what, value, share or remark.
[[nodiscard]] inline std::string plan_row(std::string_view what, std::string_view value,
                                          std::string_view more = "") {
  return padded(what, 44, false) + padded(value, 18, true) + (more.empty() ? "" : text("  ", more)) + '\n';
}

}  // namespace detail

/// The plan in one line: "2048 x h800: data 128, pipeline 16 (dualpipe), expert 64, tensor 1, ZeRO-1, fp8,
/// ...".
[[nodiscard]] inline std::string describe(ParallelPlan const& p, Hardware const& hw) {
  return text(p.devices(), " x ", hw.name, ": data ", p.data, ", pipeline ", p.pipeline, " (",
              name_of(p.schedule), "), expert ", p.expert, ", tensor ", p.tensor,
              p.zero1 ? ", ZeRO-1, " : ", ", name_of(p.products), " products; steps of ", p.batch_rows,
              " sequences of ", p.context, ", ", p.micro_rows, " at once");
}

/// Hours and money, where a step's seconds go, and the memory of the fullest device.
[[nodiscard]] inline std::string cost_table(CostPlan const& e, Hardware const& hw) {
  using detail::plan_row, detail::gigabytes;
  double const total = e.step.total();
  auto const part = [&](std::string_view what, double seconds) {
    return plan_row(what, detail::seconds_text(seconds), text(fixed(100.0 * seconds / total, 1), " %"));
  };
  std::string out = plan_row("tokens", detail::whole(e.tokens));
  out += plan_row("work per token, forward and backward", flops_text(e.flops_per_token));
  out += plan_row("device hours", detail::whole(e.device_hours),
                  text(detail::whole(e.device_hours * 1e12 / e.tokens), " per 10^12 tokens"));
  out += plan_row("days", fixed(e.days, e.days < 10.0 ? 2 : 1),
                  text("on ", e.devices, e.devices == 1 ? " device" : " devices"));
  out += e.dollars > 0.0 ? plan_row("cost, dollars", detail::whole(e.dollars),
                                    text("at ", fixed(hw.dollars_per_hour, 2), " per device hour"))
                         : plan_row("cost, dollars", "-", "no rent is known of this hardware");
  out += plan_row("tokens per second", detail::whole(e.tokens_per_second));
  out += plan_row("share of peak, products in 16 or 32 bits", text(fixed(100.0 * e.utilization, 1), " %"));
  out += "\nseconds of a step\n";
  out += part("  products of layers", e.step.computing.products);
  out += part("  products of head, router, MTP projection", e.step.computing.wide);
  out += part("  attention", e.step.computing.attention);
  out += part("  kernels that move memory", e.step.computing.others);
  out += part("  uneven stages: layers are whole", e.step.imbalance);
  out += part("  waits in overlapped chunks", e.step.waits);
  out += part("  communication that nothing hides", e.step.communication);
  out += part("  bubble of the pipeline", e.step.bubble);
  out += part("  exchange of gradients and weights", e.step.gradients);
  out += part("  whole step", total);
  out += plan_row("  micro-batches of a step", text(e.micro_batches));
  if (e.layers.inner > 0)
    out += plan_row("  layers of a device", text(e.layers.inner), text(e.layers.outer, " beside the head"));
  out += "\nmemory of the fullest device\n";
  out += plan_row("  weights", gigabytes(e.memory.weights));
  out += plan_row("  gradients", gigabytes(e.memory.gradients));
  out += plan_row("  optimizer", gigabytes(e.memory.optimizer));
  out += plan_row("  activations", gigabytes(e.memory.activations));
  out += plan_row("  buffers", gigabytes(e.memory.buffers));
  out += plan_row("  all", gigabytes(e.memory.total()),
                  hw.memory <= 0.0 ? std::string{}
                                   : text(e.fits ? "fits in " : "DOES NOT FIT in ", gigabytes(hw.memory)));
  return out;
}

/// Each rate with its value, source, and the device hours if it were a tenth worse.
[[nodiscard]] inline std::string assumption_table(ModelConfig const& c, double tokens, Hardware const& hw,
                                                  ParallelPlan const& plan, TrainingRates const& rates) {
  double const hours = cost_plan(c, tokens, hw, plan, rates).device_hours;
  auto const worse = hours_if_worse(c, tokens, hw, plan, rates);
  std::size_t most = 0;
  for (std::size_t i = 1; i < worse.size(); ++i)
    if (worse[i] > worse[most]) most = i;
  std::string out = detail::plan_row("assumption", "value", "device hours if a tenth worse");
  for (std::size_t i = 0; i < worse.size(); ++i) {
    Assumption const& rate = rates.*rate_fields[i].field;
    out += detail::plan_row(text("  ", rate_fields[i].name), fixed(rate.value, 3),
                            text(detail::whole(worse[i]), " (+", fixed(100.0 * (worse[i] / hours - 1.0), 1),
                                 " %)", i == most ? ", matters most" : ""));
    out += text("      ", rate.source, '\n');
  }
  out += text("  ", hw.name, ": ", hw.source, '\n');
  out +=
      "  not counted: uneven loads of experts, failures and restarts, validation, checkpoints, the ramp of "
      "the batch,\n"
      "  reading data; in memory the driver, communication libraries and fragmentation\n";
  return out;
}

}  // namespace aeth
