/// How long a pipeline of stages takes for a step's micro-batches, and what it keeps meanwhile, by schedule.
///
/// A chunk is one micro-batch in one stage.
///
/// source   DeepSeek-V3, arXiv:2412.19437, §3.2.1, Table 2; github.com/deepseek-ai/DualPipe
#pragma once

#include <string_view>

#include "aeth/core/math.hpp"

namespace aeth {

/// The order in which a device works through forward and backward chunks.
enum class Schedule {
  one_f_one_b,  ///< one forward, one backward
  zb1p,         ///< backward of inputs first, that of weights fills the gaps (zero bubble, 1x parameters)
  dual_pipe,    ///< micro-batches from both ends; forward chunks overlap with backward chunks
};

[[nodiscard]] constexpr std::string_view name_of(Schedule schedule) noexcept {
  return schedule == Schedule::one_f_one_b ? "1f1b" : schedule == Schedule::zb1p ? "zb1p" : "dualpipe";
}

/// Seconds of a chunk, communication that nothing hides included.
struct ChunkTimes {
  double forward = 0.0;   ///< F
  double backward = 0.0;  ///< B: of inputs and of weights
  double weight = 0.0;    ///< W: of weights alone
  double pair = 0.0;      ///< F&B: a forward and a backward chunk that overlap; DualPipe only
};

/// Stages that a device holds. DualPipe's hold one from either end, so parameters exist twice.
[[nodiscard]] constexpr int stages_per_device(Schedule schedule) noexcept {
  return schedule == Schedule::dual_pipe ? 2 : 1;
}

/// Seconds of a step in which a device has nothing to do, with P stages: 1F1B (P-1)(F+B), ZB1P (P-1)(F+B-2W),
/// DualPipe (P/2-1)(F&B+B-3W).
[[nodiscard]] constexpr double bubble_seconds(Schedule schedule, int stages, ChunkTimes const& t) noexcept {
  double const bubble =
      schedule == Schedule::dual_pipe
          ? (stages / 2 - 1) * (t.pair + t.backward - 3.0 * t.weight)
          : (stages - 1) * (t.forward + t.backward - (schedule == Schedule::zb1p ? 2.0 * t.weight : 0.0));
  return max(bubble, 0.0);
}

/// Forward chunks of a device, of a step's n, that overlap with no backward chunk, and as many backward
/// chunks. With DualPipe P+1 on the devices in the middle, as many as it takes to fill the pipeline: counted
/// from the published schedule, which tests/unit/config/pipeline_schedule_test.cpp plays through.
[[nodiscard]] constexpr Index unpaired_chunks(Schedule schedule, int stages, Index n) noexcept {
  return schedule == Schedule::dual_pipe ? min(n, Index{stages} + 1) : n;
}

/// Seconds of n micro-batches, from the first forward to the last backward chunk.
[[nodiscard]] constexpr double pipeline_seconds(Schedule schedule, int stages, Index n,
                                                ChunkTimes const& t) noexcept {
  Index const alone = unpaired_chunks(schedule, stages, n);
  return static_cast<double>(n - alone) * t.pair + static_cast<double>(alone) * (t.forward + t.backward) +
         bubble_seconds(schedule, stages, t);
}

/// Chunks whose activations the fullest device keeps at once: P, with DualPipe P+1, never more than there are.
[[nodiscard]] constexpr Index chunks_in_flight(Schedule schedule, int stages, Index n) noexcept {
  return min(n, Index{stages} + (schedule == Schedule::dual_pipe ? 1 : 0));
}

/// Whole layers, dealt out to the devices of a pipeline so that the fullest has as little as possible.
struct LayerSplit {
  Index inner = 0;  ///< of each device that has layers only
  Index outer = 0;  ///< of the device that has the head as well
};

/// `places`: devices that differ in their layers, P, with DualPipe P/2. `head`: what head and MTP modules
/// take, in layers of the same time.
[[nodiscard]] constexpr LayerSplit split_layers(Index layers, Index places, double head) noexcept {
  if (places <= 1) return {.inner = 0, .outer = layers};
  auto const outer = [&](Index inner) { return max(layers - inner * (places - 1), Index{0}); };
  auto const load = [&](Index inner) {
    return max(static_cast<double>(inner), static_cast<double>(outer(inner)) + head);
  };
  Index const even = static_cast<Index>((static_cast<double>(layers) + head) / static_cast<double>(places));
  Index const inner = load(even + 1) < load(even) ? even + 1 : even;
  return {.inner = inner, .outer = outer(inner)};
}

}  // namespace aeth
