/// What a measurement of tensors, biases, attention and FP8 tells; a function of that measurement alone.
#pragma once

#include <cstddef>

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/diagnosis.hpp"
#include "aeth/train/observation.hpp"

namespace aeth::train {

namespace detail {

inline void diagnose_updates(Health const& health, Findings& findings) {
  double largest = 0.0;
  std::size_t which = 0;
  for (std::size_t i = 0; i < health.tensors.size(); ++i)
    if (health.tensors[i].update_ratio > largest) largest = health.tensors[i].update_ratio, which = i;
  if (health.tensors.empty() || health.rate_share < 0.5)
    return;  // at the end of a run small updates are meant
  Culprit const culprit{(*health.names)[which]};
  double most = 0.0;
  for (Index g = 0; g < tensor_groups; ++g)
    most = max(most, health.update_ratio(static_cast<TensorGroup>(g)));
  if (largest == 0.0)
    findings.push_back({Diagnosis::frozen, "no weight has changed in this step"});
  else if (most < 1e-5)
    findings.push_back({Diagnosis::update_too_small,
                        text("an update changes weights by ", scientific(most, 1), " of their size at most"),
                        culprit});
  else if (most > 0.5)
    findings.push_back({Diagnosis::update_too_large,
                        text("one update changes weights by ", fixed(most, 2), " of their size"), culprit});
}

inline void diagnose_gradients(Health const& health, Findings& findings) {
  double largest = 0.0;
  for (TensorHealth const& tensor : health.tensors) largest = max(largest, tensor.gradient_norm);
  Index all = 0, vanished = 0;
  Culprit first;
  for (std::size_t i = 0; i < health.tensors.size(); ++i) {
    if ((*health.groups)[i] == TensorGroup::experts) continue;  // one without tokens has none, and need not
    ++all;
    if (health.tensors[i].gradient_norm > 1e-7 * largest) continue;
    if (vanished++ == 0) first.tensor = (*health.names)[i];
  }
  if (2 * vanished > all)
    findings.push_back({Diagnosis::vanishing_gradient,
                        text(vanished, " of ", all, " tensors have no gradient to speak of"), first});
}

}  // namespace detail

/// Thresholds: attention logits of 100 are where Kimi K2 begins to clip (arXiv:2507.20534, §2.1); scores of a sigmoid
/// differ by less than 1; FP8 with a scale per tile loses some 0.1 % of a healthy model's numbers, and cannot saturate; an update of half a weight's size is a hundred times what is usual.
inline void diagnose(Health const& health, Findings& findings) {
  detail::diagnose_updates(health, findings);
  detail::diagnose_gradients(health, findings);
  if (health.largest_logit > 100.0)
    findings.push_back({Diagnosis::attention_logits,
                        text("the largest attention logit is ", fixed(health.largest_logit, 0)),
                        {text("model.layers.", health.largest_logit_layer, ".self_attn")}});
  if (health.largest_bias > 1.0)
    findings.push_back(
        {Diagnosis::bias_runaway, text("a selection bias is ", fixed(health.largest_bias, 2), " in size")});
  if (health.f8_vanished > 0.02)
    findings.push_back(
        {Diagnosis::fp8_underflow,
         text(fixed(100.0 * health.f8_vanished, 1), " % of the numbers rounded to FP8 became 0"),
         {health.f8_tensor}});
}

}  // namespace aeth::train
