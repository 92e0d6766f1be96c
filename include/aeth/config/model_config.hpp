/// The configuration of a DeepSeek-style model as a structural value, so that it can be a template argument.
///
/// Field comments name the Hugging Face config.json key. Rules are checked by `config/validate.hpp`; numbers
/// that follow from a configuration (parameters, FLOPs, cache bytes) are in `config/model_card.hpp`.
#pragma once

namespace aeth {

/// YaRN context extension of the rotary frequencies; off while `factor` is 1.
///
/// source   Peng et al. 2023, arXiv:2309.00071; as DeepSeek uses it: DeepSeek-V3 inference code,
///          `precompute_freqs_cis`
struct YarnConfig {
  double factor = 1.0;          ///< rope_scaling.factor; 1 = no YaRN
  int original_context = 4096;  ///< rope_scaling.original_max_position_embeddings
  double beta_fast = 32.0;      ///< rope_scaling.beta_fast, rotations at which the ramp begins
  double beta_slow = 1.0;       ///< rope_scaling.beta_slow, rotations at which the ramp ends
  double mscale = 1.0;          ///< rope_scaling.mscale, scales cos and sin together with mscale_all_dim
  double mscale_all_dim =
      1.0;  ///< rope_scaling.mscale_all_dim, its square scales the softmax; 0 = no correction

  friend constexpr bool operator==(YarnConfig const&, YarnConfig const&) = default;
};

/// Rotary position embedding on adjacent pairs (x[2i], x[2i+1]), as the released weights use it.
struct RopeConfig {
  double theta = 10000.0;  ///< rope_theta
  YarnConfig yarn{};

  friend constexpr bool operator==(RopeConfig const&, RopeConfig const&) = default;
};

/// Multi-head latent attention. Source: DeepSeek-V2, arXiv:2405.04434, §2.1.
struct MlaConfig {
  int heads = 0;     ///< num_attention_heads, H
  int q_rank = 0;    ///< q_lora_rank, Q; 0 = full-rank queries (V2-Lite)
  int kv_rank = 0;   ///< kv_lora_rank, C
  int nope_dim = 0;  ///< qk_nope_head_dim, N
  int rope_dim = 0;  ///< qk_rope_head_dim, R
  int v_dim = 0;     ///< v_head_dim, U
  double norm_eps =
      1e-6;  ///< of the two latent norms; the reference code fixes it whatever rms_norm_eps says
  RopeConfig rope{};

  /// Width of one query or key head: N + R.
  [[nodiscard]] constexpr int qk_dim() const { return nope_dim + rope_dim; }

  friend constexpr bool operator==(MlaConfig const&, MlaConfig const&) = default;
};

/// How router logits become affinity scores.
enum class Scoring {
  softmax,  ///< V2: softmax over all experts
  sigmoid,  ///< V3: each expert on its own
};

/// How the K experts of a token are chosen.
enum class Selection {
  greedy,          ///< top-K of the scores (topk_method "greedy")
  group_limited,   ///< V2: the best expert of a group scores the group (topk_method "group_limited_greedy")
  bias_corrected,  ///< V3: scores plus selection bias; a group scores by its two best (topk_method
                   ///< "noaux_tc")
};

/// Mixture of experts. Source: DeepSeek-V3, arXiv:2412.19437, §2.1.2; DeepSeek-V2, §2.2.
struct MoeConfig {
  int experts = 0;     ///< n_routed_experts, E; 0 = no MoE layers at all
  int shared = 0;      ///< n_shared_experts; they form one SwiGLU of width shared · hidden_dim
  int top_k = 0;       ///< num_experts_per_tok, K
  int groups = 1;      ///< n_group, G
  int top_groups = 1;  ///< topk_group
  int hidden_dim = 0;  ///< moe_intermediate_size, F
  Scoring scoring = Scoring::sigmoid;               ///< scoring_func
  Selection selection = Selection::bias_corrected;  ///< topk_method
  bool normalize_gates = true;                      ///< norm_topk_prob
  double gate_scale = 1.0;                          ///< routed_scaling_factor
  int layer_stride = 1;  ///< moe_layer_freq: a layer past the dense ones is MoE if it is a multiple

  friend constexpr bool operator==(MoeConfig const&, MoeConfig const&) = default;
};

/// What the first MTP module reads of the main model; sources disagree (DeepSeek-V3 §2.2 leaves it open).
enum class MtpInput {
  post_norm,  ///< the state after the final norm: serving engines, Megatron; works with the released weights
  pre_norm,   ///< the residual stream before it: torchtitan
};

/// A whole model.
struct ModelConfig {
  int vocab_size = 0;      ///< V
  int dim = 0;             ///< hidden_size, D
  int layers = 0;          ///< num_hidden_layers, L
  int dense_layers = 0;    ///< first_k_dense_replace: layers 0 .. dense_layers-1 have a dense FFN
  int ffn_dim = 0;         ///< intermediate_size, of the dense FFN
  int max_context = 4096;  ///< max_position_embeddings
  double norm_eps = 1e-6;  ///< rms_norm_eps
  double init_std =
      0.006;  ///< standard deviation of every matrix at the start; the papers' value, not config.json's
  MlaConfig mla{};
  MoeConfig moe{};
  int mtp_depth = 0;  ///< num_nextn_predict_layers
  MtpInput mtp_input = MtpInput::post_norm;

  /// Whether layer i (0-based) of the main model has experts. Source: `modeling_deepseek.py` shipped with the
  /// weights.
  [[nodiscard]] constexpr bool is_moe_layer(int layer) const {
    return moe.experts > 0 && layer >= dense_layers && layer % moe.layer_stride == 0;
  }

  friend constexpr bool operator==(ModelConfig const&, ModelConfig const&) = default;
};

/// A changed copy, for variants of a constant: `with(tiny, [](ModelConfig& c) { c.layers = 8; })`.
template <class Change>
[[nodiscard]] constexpr ModelConfig with(ModelConfig config, Change change) {
  change(config);
  return config;
}

}  // namespace aeth
