/// Ways in which a training run goes wrong: what each is called, why it happens, and which option to change.
///
/// The first five are trouble: found before a batch is applied, and dealt with by a policy. The others are only told.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/train/event.hpp"

namespace aeth::train {

enum class Diagnosis {
  empty_batch,
  non_finite_loss,
  non_finite_gradient,
  loss_spike,
  gradient_spike,
  divergence,
  no_progress,
  frozen,
  trivial_data,
  few_targets,
  repeated_data,
  mtp_not_learning,
  overfitting,
  unlike_validation,
  always_clipped,
  vanishing_gradient,
  update_too_large,
  update_too_small,
  attention_logits,
  dead_experts,
  expert_collapse,
  balancing_off,
  bias_oscillation,
  bias_runaway,
  fp8_underflow,
  slow,
};
inline constexpr std::size_t diagnoses = 26;

struct DiagnosisText {
  Diagnosis diagnosis;
  std::string_view id;  ///< Event::kind
  Severity severity;
  std::string_view setting;
  std::string_view why;  ///< and what to change
};

/// docs/explanation/stability.md has this table with what each one looks at.
inline constexpr std::array<DiagnosisText, diagnoses> diagnosis_texts{{
    {Diagnosis::empty_batch, "empty_batch", Severity::warning, "TrainingData::training",
     "its documents have one token each; leave such documents out"},
    {Diagnosis::non_finite_loss, "non_finite_loss", Severity::warning, "TrainerOptions::learning_rate",
     "weights or activations have overflowed; lower the learning rate, or MonitorOptions::non_finite may "
     "skip or roll back"},
    {Diagnosis::non_finite_gradient, "non_finite_gradient", Severity::warning,
     "TrainerOptions::learning_rate",
     "backward overflowed though the loss is finite; lower the learning rate, or MonitorOptions::non_finite "
     "may skip or "
     "roll back"},
    {Diagnosis::loss_spike, "loss_spike", Severity::warning, "MonitorOptions::loss_spike",
     "a batch unlike the others, or weights that the one before has damaged; let the policy skip or roll "
     "back, look at "
     "the batch, and lower the learning rate if it comes again"},
    {Diagnosis::gradient_spike, "gradient_spike", Severity::warning, "MonitorOptions::gradient_spike",
     "a batch unlike the others, or a steep place of the loss; let the policy skip or roll back, or clip "
     "harder"},
    {Diagnosis::divergence, "divergence", Severity::error, "TrainerOptions::learning_rate",
     "the learning rate is too high for this model; start again with a third of it, or warm up for longer"},
    {Diagnosis::no_progress, "no_progress", Severity::warning, "TrainerOptions::learning_rate",
     "steps are too short to get anywhere, or so long that none of them helps; change the learning rate "
     "tenfold, upwards "
     "first"},
    {Diagnosis::frozen, "frozen", Severity::error, "TrainerOptions::schedule",
     "the learning rate is 0 or lost in rounding; look at the schedule's rates"},
    {Diagnosis::trivial_data, "trivial_data", Severity::warning, "TrainingData::training",
     "the text repeats itself, or the model has it by heart; train on more and other text"},
    {Diagnosis::few_targets, "few_targets", Severity::warning, "TrainingData::training",
     "the documents are so short that much of the computation teaches nothing; join them"},
    {Diagnosis::repeated_data, "repeated_data", Severity::note, "TrainerOptions::steps",
     "beyond four times the same text teaches less and less (arXiv:2305.16264); train on more text, or for "
     "fewer steps"},
    {Diagnosis::mtp_not_learning, "mtp_not_learning", Severity::warning, "LossOptions::mtp_weight",
     "its gradient is lost beside the optimizer's epsilon; raise the weight to about 0.1 to 0.3, or set it "
     "to 0 and save "
     "the time"},
    {Diagnosis::overfitting, "overfitting", Severity::warning, "TrainerOptions::steps",
     "the model learns the training text by heart; stop at the best checkpoint (KeepOptions::best), or train "
     "on more text"},
    {Diagnosis::unlike_validation, "unlike_validation", Severity::warning, "TrainingData::validation",
     "the validation text is of another kind than the training text; draw both from the same documents"},
    {Diagnosis::always_clipped, "always_clipped", Severity::warning, "AdamWOptions::clip",
     "the bound decides on the length of every step and not the gradients; raise it to about their median "
     "norm"},
    {Diagnosis::vanishing_gradient, "vanishing_gradient", Severity::error, "Model::initialize",
     "these weights cannot learn: they, or weights above them, are 0, or activations have died; initialize "
     "the model, or "
     "raise ModelConfig::init_std"},
    {Diagnosis::update_too_large, "update_too_large", Severity::warning, "TrainerOptions::learning_rate",
     "weights are replaced instead of improved; lower the learning rate, or warm up for longer"},
    {Diagnosis::update_too_small, "update_too_small", Severity::warning, "TrainerOptions::learning_rate",
     "at this pace nothing is learned in the life of a run; raise the learning rate"},
    {Diagnosis::attention_logits, "attention_logits", Severity::warning, "TrainerOptions::learning_rate",
     "queries and keys have grown until attention sees one token only, which ends in a spike; lower the "
     "learning rate or "
     "raise the weight decay"},
    {Diagnosis::dead_experts, "dead_experts", Severity::warning, "TrainerOptions::bias_rate",
     "they learn nothing and the others must do their work; raise the bias rate"},
    {Diagnosis::expert_collapse, "expert_collapse", Severity::error, "TrainerOptions::bias_rate",
     "nearly all tokens go to the same few experts; balance with bias_rate 1e-3, and start again if it does "
     "not recover"},
    {Diagnosis::balancing_off, "balancing_off", Severity::warning, "TrainerOptions::bias_rate",
     "nothing balances the experts and their loads drift apart; set bias_rate to 1e-3"},
    {Diagnosis::bias_oscillation, "bias_oscillation", Severity::warning, "TrainerOptions::bias_rate",
     "each correction of the selection bias is larger than what it corrects; lower the bias rate"},
    {Diagnosis::bias_runaway, "bias_runaway", Severity::warning, "TrainerOptions::bias_rate",
     "scores lie between 0 and 1, so the bias alone chooses and routing ignores the token; lower the bias "
     "rate"},
    {Diagnosis::fp8_underflow, "fp8_underflow", Severity::warning, "F8Arithmetic::square_tiles",
     "single large numbers set the scale of their tile and the others become 0; use smaller tiles or BF16, "
     "and look for "
     "outliers"},
    {Diagnosis::slow, "slow", Severity::note, "Cpu::threads",
     "something else uses the machine, or it is throttled; look at its load and temperature"},
}};

[[nodiscard]] constexpr DiagnosisText const& text_of(Diagnosis diagnosis) {
  return diagnosis_texts[static_cast<std::size_t>(diagnosis)];
}
static_assert(
    [] {
      for (std::size_t i = 0; i < diagnoses; ++i)
        if (diagnosis_texts[i].diagnosis != static_cast<Diagnosis>(i)) return false;
      return true;
    }(),
    "the table is in the order of the enumeration");

/// A diagnosis with the numbers that led to it.
struct Finding {
  Diagnosis diagnosis;
  std::string seen;
  Culprit culprit{};
};

using Findings = std::vector<Finding>;

}  // namespace aeth::train
