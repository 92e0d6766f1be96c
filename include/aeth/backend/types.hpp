/// What every backend's operations are told beside tensors.
#pragma once

#include "aeth/core/math.hpp"

namespace aeth {

/// Whether an operation replaces what its output holds or continues the sum from there.
enum class Write { overwrite, accumulate };

/// Queries and the keys they may see: query i of `queries` sees the first keys − queries + i + 1 of `keys`, which are no
/// fewer.
struct AttentionSpan {
  Index query_begin = 0, queries = 0;
  Index key_begin = 0, keys = 0;
};

/// Sizes of one latent-attention core.
struct AttentionShape {
  Index heads = 0, nope_dim = 0, rope_dim = 0, v_dim = 0;
  [[nodiscard]] constexpr Index qk_dim() const { return nope_dim + rope_dim; }
};

/// What the attention core remembers of each softmax row, [T,H]: the shift, which is its largest logit, and 1 / Σ.
template <class T>
struct SoftmaxStatistics {
  T* shift = nullptr;
  T* inverse_sum = nullptr;
};

/// How the K experts of a token are found and weighted; the run-time form of MoeConfig.
struct RoutingRule {
  static constexpr Index max_experts = 1024;  ///< config/rules.hpp holds configurations to it
  Index experts = 0, top_k = 0, groups = 1, top_groups = 1;
  bool softmax = false;           ///< scores: softmax over experts, else a sigmoid each
  bool group_by_top_two = false;  ///< a group's score: sum of its two best, else its best
  bool normalize = false;         ///< divide the K gates by their sum + 1e-20
  double gate_scale = 1.0;
};

/// The constants of one AdamW update; see optim/adamw.hpp for the formula.
template <class T>
struct AdamWConstants {
  T gradient_scale;
  T beta1;
  T one_minus_beta1;
  T beta2;
  T one_minus_beta2;
  T inverse_root_correction2;  ///< 1 / sqrt(1 - β2^t)
  T epsilon;
  T minus_step_size;  ///< -η / (1 - β1^t)
  T minus_decay;      ///< -η·λ, or 0 without decay
};

}  // namespace aeth
