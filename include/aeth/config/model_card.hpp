/// Numbers that follow from a configuration: parameters, FLOPs per token, cache and training-state bytes.
///
/// All are exact and constexpr; the configuration must be valid. tests/static/model_card.cpp proves them
/// against the published models. One FLOP is one multiplication or one addition.
///
/// source   DeepSeek-V2, arXiv:2405.04434, §2.1 (attention, cache); DeepSeek-V3, arXiv:2412.19437, §2.1-2.2
/// legend   D width · H heads · Q query rank · C latent rank · N, R, U head sizes · E experts · K per token ·
///          F expert width · V vocabulary · L layers
#pragma once

#include "aeth/config/layer_counts.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// Parameters of a model, or the part of them that one token uses, by their place.
struct ParameterCount {
  Index embedding = 0;  ///< V·D
  Index attention = 0;  ///< projections and the gains of the latent norms
  Index dense_ffn = 0;
  Index router = 0;  ///< gate matrices and, with Selection::bias_corrected, one bias per expert
  Index experts = 0;
  Index shared = 0;
  Index norms = 0;  ///< two per layer and the final one
  Index head = 0;   ///< V·D

  [[nodiscard]] constexpr Index total() const noexcept {
    return embedding + attention + dense_ffn + router + experts + shared + norms + head;
  }

  friend constexpr bool operator==(ParameterCount const&, ParameterCount const&) = default;
};

/// One layer's attention: query path, D·(C+R) down, latent norm, C·H·(N+U) up, H·U·D out.
[[nodiscard]] constexpr Index attention_parameters(ModelConfig const& c) noexcept {
  Index const width = c.dim;
  Index const heads = c.mla.heads;
  Index const query_rows = heads * c.mla.qk_dim();
  Index const query = c.mla.q_rank == 0 ? width * query_rows
                                        : width * c.mla.q_rank + c.mla.q_rank + c.mla.q_rank * query_rows;
  return query + width * (c.mla.kv_rank + c.mla.rope_dim) + c.mla.kv_rank +
         c.mla.kv_rank * heads * (c.mla.nope_dim + c.mla.v_dim) + heads * c.mla.v_dim * width;
}

/// A dense FFN: gate, up and down matrices.
[[nodiscard]] constexpr Index dense_ffn_parameters(ModelConfig const& c) noexcept {
  return Index{3} * c.dim * c.ffn_dim;
}

/// One routed expert: gate, up and down matrices.
[[nodiscard]] constexpr Index expert_parameters(ModelConfig const& c) noexcept {
  return Index{3} * c.dim * c.moe.hidden_dim;
}

/// Selection biases of one layer; they are not trained by gradients.
[[nodiscard]] constexpr Index selection_bias_entries(ModelConfig const& c) noexcept {
  return c.moe.experts > 0 && c.moe.selection == Selection::bias_corrected ? c.moe.experts : 0;
}

/// The router of one layer: E·D, and its selection bias.
[[nodiscard]] constexpr Index router_parameters(ModelConfig const& c) noexcept {
  return Index{c.moe.experts} * c.dim + selection_bias_entries(c);
}

/// One layer's experts, shared experts and router; zero in a model without experts.
[[nodiscard]] constexpr Index moe_parameters(ModelConfig const& c) noexcept {
  return c.moe.experts == 0
             ? 0
             : (Index{c.moe.experts} + c.moe.shared) * expert_parameters(c) + router_parameters(c);
}

namespace detail {

/// Counts with `experts` routed experts per layer.
[[nodiscard]] constexpr ParameterCount count_with_experts(ModelConfig const& c, Index experts) noexcept {
  Index const moe = moe_layers(c);
  return {
      .embedding = Index{c.vocab_size} * c.dim,
      .attention = c.layers * attention_parameters(c),
      .dense_ffn = dense_ffn_layers(c) * dense_ffn_parameters(c),
      .router = moe * router_parameters(c),
      .experts = moe * experts * expert_parameters(c),
      .shared = moe * c.moe.shared * expert_parameters(c),
      .norms = (Index{2} * c.layers + 1) * c.dim,
      .head = Index{c.vocab_size} * c.dim,
  };
}

}  // namespace detail

/// The main model, without MTP modules.
[[nodiscard]] constexpr ParameterCount count_parameters(ModelConfig const& c) noexcept {
  return detail::count_with_experts(c, c.moe.experts);
}

/// What one token uses of the main model: K experts per layer. Papers differ on whether the input embedding,
/// of which a token reads one row, belongs; `total()` counts it, subtract `embedding` for the other figure.
[[nodiscard]] constexpr ParameterCount count_activated(ModelConfig const& c) noexcept {
  return detail::count_with_experts(c, c.moe.top_k);
}

/// What one MTP module adds: a block (with experts if the model has any), the 2D → D projection and three
/// norms. Embedding and head are the main model's.
[[nodiscard]] constexpr Index mtp_module_parameters(ModelConfig const& c) noexcept {
  Index const ffn = c.moe.experts > 0 ? moe_parameters(c) : dense_ffn_parameters(c);
  return attention_parameters(c) + Index{2} * c.dim + ffn + Index{2} * c.dim * c.dim + Index{3} * c.dim;
}

/// Everything a training run updates by gradients, MTP modules included, selection biases excluded.
[[nodiscard]] constexpr Index trainable_parameters(ModelConfig const& c) noexcept {
  return count_parameters(c).total() + c.mtp_depth * mtp_module_parameters(c) -
         (moe_layers(c) + c.mtp_depth) * selection_bias_entries(c);
}

namespace detail {

/// FLOPs of one layer's attention for a token that attends to `keys` positions: scores H·(N+R), values H·U.
[[nodiscard]] constexpr double attention_flops(ModelConfig const& c, double keys) noexcept {
  double const norms = double(c.mla.q_rank) + c.mla.kv_rank;
  double const per_key = double(c.mla.heads) * (double(c.mla.qk_dim()) + c.mla.v_dim);
  return 2.0 * (static_cast<double>(attention_parameters(c)) - norms) + 2.0 * per_key * keys;
}

[[nodiscard]] constexpr double moe_flops(ModelConfig const& c) noexcept {
  double const experts = double(c.moe.top_k) + c.moe.shared;
  return 2.0 * (experts * static_cast<double>(expert_parameters(c)) + double(c.moe.experts) * c.dim);
}

[[nodiscard]] constexpr double head_flops(ModelConfig const& c) noexcept {
  return 2.0 * c.vocab_size * c.dim;
}

}  // namespace detail

/// FLOPs of the main model's matrix products for one token that attends to `keys` positions, keys and values
/// expanded per head (not the absorbed form). Norms, activations and softmax are left out, as is usual.
[[nodiscard]] constexpr double forward_flops_per_token(ModelConfig const& c, double keys) noexcept {
  return c.layers * detail::attention_flops(c, keys) +
         static_cast<double>(dense_ffn_layers(c)) * 2.0 * static_cast<double>(dense_ffn_parameters(c)) +
         static_cast<double>(moe_layers(c)) * detail::moe_flops(c) + detail::head_flops(c);
}

/// FLOPs of one MTP module for one token: its block, its projection, and the shared head once more.
[[nodiscard]] constexpr double mtp_flops_per_token(ModelConfig const& c, double keys) noexcept {
  double const ffn =
      c.moe.experts > 0 ? detail::moe_flops(c) : 2.0 * static_cast<double>(dense_ffn_parameters(c));
  return detail::attention_flops(c, keys) + ffn + 4.0 * c.dim * c.dim + detail::head_flops(c);
}

/// FLOPs of forward and backward (twice forward) for one token of a causal sequence of `context` tokens, each
/// of which attends to (context + 1) / 2 positions on average; MTP modules included.
[[nodiscard]] constexpr double training_flops_per_token(ModelConfig const& c, double context) noexcept {
  double const keys = (context + 1.0) / 2.0;
  return 3.0 * (forward_flops_per_token(c, keys) + c.mtp_depth * mtp_flops_per_token(c, keys));
}

/// Cache bytes per token over all layers: the latent and one rotary key, (C + R) per layer.
[[nodiscard]] constexpr Index mla_cache_bytes_per_token(ModelConfig const& c,
                                                        Index bytes_per_element) noexcept {
  return Index{c.layers} * (c.mla.kv_rank + c.mla.rope_dim) * bytes_per_element;
}

/// What the same attention would cache with keys and values expanded: H·(N + R + U) per layer.
[[nodiscard]] constexpr Index expanded_cache_bytes_per_token(ModelConfig const& c,
                                                             Index bytes_per_element) noexcept {
  return Index{c.layers} * c.mla.heads * (c.mla.qk_dim() + c.mla.v_dim) * bytes_per_element;
}

/// What grouped-query attention with `groups` key heads of size U would cache; groups = H is multi-head
/// attention, groups = 1 multi-query attention.
[[nodiscard]] constexpr Index gqa_cache_bytes_per_token(ModelConfig const& c, Index groups,
                                                        Index bytes_per_element) noexcept {
  return Index{2} * c.layers * groups * c.mla.v_dim * bytes_per_element;
}

/// Key heads of grouped-query attention with the same cache as MLA: (C + R) / 2U; 2.25 for DeepSeek-V2 and
/// V3.
[[nodiscard]] constexpr double equivalent_gqa_groups(ModelConfig const& c) noexcept {
  return (double(c.mla.kv_rank) + c.mla.rope_dim) / (2.0 * c.mla.v_dim);
}

/// Bytes per parameter of each flat buffer of a training run; 0 where there is no such buffer. The defaults
/// are DeepSeek-V3's (§3.3.2): BF16 weights and moments, FP32 gradients and master weights.
struct TrainingWidths {
  Index weight = 2;
  Index gradient = 4;
  Index first_moment = 2;
  Index second_moment = 2;
  Index master = 4;
};

/// Bytes of weights, gradients and optimizer state of a training run, activations excluded.
[[nodiscard]] constexpr Index training_state_bytes(ModelConfig const& c, TrainingWidths const& w) noexcept {
  return trainable_parameters(c) * (w.weight + w.gradient + w.first_moment + w.second_moment + w.master);
}

}  // namespace aeth
