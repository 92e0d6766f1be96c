/// How the published models were pre-trained: every constant the papers give, as run-time data.
///
/// Lengths are in tokens, as in the papers. `optim/recipe_schedule.hpp` turns the stages into steps for a run
/// of any length.
///
/// source   DeepSeek-V2, arXiv:2405.04434, §3.1.2 and appendix B; DeepSeek-V3, arXiv:2412.19437, §4.1-4.2
#pragma once

#include <array>

namespace aeth {

/// How the learning rate moves within a stage.
enum class RateShape {
  constant,       ///< stays at `to`
  linear,         ///< from + (to - from) · p, with p the share of the stage that is done
  cosine,         ///< from + (to - from) · (1 - cos πp) / 2
  one_minus_sqrt  ///< from + (to - from) · sqrt(p)
};

/// A stage of the learning rate after the warm-up.
struct RateStage {
  double tokens = 0.0;
  double from = 0.0;  ///< rate at the start
  double to = 0.0;    ///< rate at the end
  RateShape shape = RateShape::constant;

  friend constexpr bool operator==(RateStage const&, RateStage const&) = default;
};

/// A quantity that has one value up to some token and another after it.
struct TwoPhase {
  double first = 0.0;
  double tokens = 0.0;  ///< length of the first phase
  double then = 0.0;

  /// The value when `done` tokens have been trained on.
  [[nodiscard]] constexpr double at(double done) const noexcept { return done < tokens ? first : then; }

  friend constexpr bool operator==(TwoPhase const&, TwoPhase const&) = default;
};

/// Constants of one pre-training run. A 0 means: not used by this model.
struct PretrainingRecipe {
  double tokens = 0.0;
  int context = 4096;  ///< tokens per sequence
  double init_std = 0.006;

  double beta1 = 0.9;  ///< AdamW
  double beta2 = 0.95;
  double epsilon = 1e-8;  ///< not stated in the papers; the customary value
  double weight_decay = 0.1;
  double clip = 1.0;  ///< global gradient norm

  int warmup_steps = 2000;  ///< linear from 0 to the first stage's rate
  std::array<RateStage, 4> stages{};

  int batch_first = 0;             ///< sequences per step at the start
  int batch_last = 0;              ///< and after the ramp
  double batch_ramp_tokens = 0.0;  ///< length of the ramp

  double expert_balance = 0.0;         ///< α1 of the V2 balance losses
  double device_balance = 0.0;         ///< α2
  double communication_balance = 0.0;  ///< α3
  double sequence_balance = 0.0;       ///< α of V3's sequence-wise loss
  TwoPhase bias_speed{};               ///< γ, change of a selection bias per step
  TwoPhase mtp_weight{};               ///< λ

  double fim_rate = 0.0;  ///< share of documents turned into fill-in-the-middle (prefix, suffix, middle)
};

namespace presets {

inline constexpr PretrainingRecipe deepseek_v2_lite_recipe{
    .tokens = 5.7e12,
    .context = 4096,
    .init_std = 0.006,
    .beta1 = 0.9,
    .beta2 = 0.95,
    .epsilon = 1e-8,
    .weight_decay = 0.1,
    .clip = 1.0,
    .warmup_steps = 2000,
    .stages = {{{4.56e12, 4.2e-4, 4.2e-4,
                 RateShape::constant},  // × 0.316 at about 80 % and 90 % of the tokens
                {0.57e12, 1.3272e-4, 1.3272e-4, RateShape::constant},
                {0.57e12, 4.193952e-5, 4.193952e-5, RateShape::constant},
                {}}},
    .batch_first = 4608,
    .batch_last = 4608,
    .batch_ramp_tokens = 0.0,
    .expert_balance = 0.001,
};

inline constexpr PretrainingRecipe deepseek_v2_recipe{
    .tokens = 8.1e12,
    .context = 4096,
    .init_std = 0.006,
    .beta1 = 0.9,
    .beta2 = 0.95,
    .epsilon = 1e-8,
    .weight_decay = 0.1,
    .clip = 1.0,
    .warmup_steps = 2000,
    .stages = {{{4.86e12, 2.4e-4, 2.4e-4,
                 RateShape::constant},  // × 0.316 at about 60 % and 90 % of the tokens
                {2.43e12, 7.584e-5, 7.584e-5, RateShape::constant},
                {0.81e12, 2.396544e-5, 2.396544e-5, RateShape::constant},
                {}}},
    .batch_first = 2304,
    .batch_last = 9216,
    .batch_ramp_tokens = 225e9,
    .expert_balance = 0.003,
    .device_balance = 0.05,
    .communication_balance = 0.02,
};

inline constexpr PretrainingRecipe deepseek_v3_recipe{
    .tokens = 14.8e12,
    .context = 4096,
    .init_std = 0.006,
    .beta1 = 0.9,
    .beta2 = 0.95,
    .epsilon = 1e-8,
    .weight_decay = 0.1,
    .clip = 1.0,
    .warmup_steps = 2000,
    .stages = {{{10e12, 2.2e-4, 2.2e-4, RateShape::constant},
                {4.3e12, 2.2e-4, 2.2e-5, RateShape::cosine},
                {333e9, 2.2e-5, 2.2e-5, RateShape::constant},
                {167e9, 7.3e-6, 7.3e-6, RateShape::constant}}},
    .batch_first = 3072,
    .batch_last = 15360,
    .batch_ramp_tokens = 469e9,
    .sequence_balance = 1e-4,
    .bias_speed = {.first = 0.001, .tokens = 14.3e12, .then = 0.0},
    .mtp_weight = {.first = 0.3, .tokens = 10e12, .then = 0.1},
    .fim_rate = 0.1,
};

}  // namespace presets
}  // namespace aeth
