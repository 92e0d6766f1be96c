/// A configuration as the config.json that other engines read. Needs nlohmann-json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/error.hpp"
#include "aeth/io/json.hpp"
#include "aeth/numeric/block_scales.hpp"

namespace aeth::interchange {

/// In which element type weights are written. Norms, router and selection bias have rules of their own.
enum class WeightType { f32, bf16, fp8 };

/// Ids that engines put at the beginning and stop at; negative = none.
struct BoundaryTokens {
  int bos = -1, eos = -1, pad = -1;
};

namespace detail {

/// The two families that engines know: V2 routes by softmax, V3 by sigmoid with a selection bias.
[[nodiscard]] inline bool is_v2(ModelConfig const& c) noexcept {
  return c.moe.experts > 0 && c.moe.scoring == Scoring::softmax;
}

/// What of a configuration has no place in config.json or is not honoured by Transformers' own classes, which
/// would then compute something else without a word.
[[nodiscard]] inline std::vector<std::string> unexportable(ModelConfig const& c) {
  std::vector<std::string> lines;
  auto const refuse = [&](bool condition, char const* line) {
    if (condition) lines.emplace_back(line);
  };
  refuse(c.mla.norm_eps != 1e-6, "mla.norm_eps is not 1e-6, which other engines fix for the latent norms");
  refuse(c.dim % c.mla.heads != 0,
         "dim is not a multiple of mla.heads, as Transformers demands of every model");
  if (c.moe.experts > 0) {
    bool const biased = c.moe.selection == Selection::bias_corrected;
    refuse(is_v2(c) && biased, "softmax scores with a selection bias belong to no family");
    refuse(!is_v2(c) && !biased, "sigmoid scores without a selection bias belong to no family");
    refuse(is_v2(c) && c.moe.normalize_gates, "deepseek_v2 does not normalise gates (moe.normalize_gates)");
    refuse(c.moe.layer_stride != 1, "moe.layer_stride is not 1, which is ignored elsewhere");
    refuse(is_v2(c) && c.mtp_depth > 0, "deepseek_v2 has no MTP modules (mtp_depth)");
  }
  if (c.mla.rope.yarn.factor > 1.0)
    refuse(c.mla.rope.yarn.mscale == 0.0 ||
               (c.mla.rope.yarn.mscale_all_dim == 0.0 && c.mla.rope.yarn.mscale != 1.0),
           "rope.yarn.mscale or mscale_all_dim is 0, which other engines take for both being absent");
  return lines;
}

}  // namespace detail

/// The text of config.json, with the keys of the released files.
///
/// errors   ConfigError that lists what of the configuration other engines cannot express
[[nodiscard]] inline std::string to_config_json(ModelConfig const& c, WeightType type,
                                                BoundaryTokens tokens = {},
                                                ScaleForm scale_form = ScaleForm::any) {
  auto const lines = detail::unexportable(c);
  if (!lines.empty()) {
    std::string message =
        "export: Hugging Face's DeepSeek classes cannot express this configuration; change it, or "
        "keep to aeth's own files:";
    for (std::string const& line : lines) message += "\n  " + line;
    throw ConfigError(message);
  }
  using Ordered = nlohmann::ordered_json;
  bool const v2 = detail::is_v2(c);
  Ordered out;
  out["architectures"] = {v2 ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM"};
  out["model_type"] = v2 ? "deepseek_v2" : "deepseek_v3";
  out["vocab_size"] = c.vocab_size;
  out["hidden_size"] = c.dim;
  out["num_hidden_layers"] = c.layers;
  out["intermediate_size"] = c.ffn_dim;
  out["max_position_embeddings"] = c.max_context;
  out["rms_norm_eps"] = c.norm_eps;
  out["initializer_range"] = c.init_std;
  out["hidden_act"] = "silu";
  out["num_attention_heads"] = c.mla.heads;
  out["num_key_value_heads"] = c.mla.heads;
  out["q_lora_rank"] = c.mla.q_rank > 0 ? Ordered(c.mla.q_rank) : Ordered();
  out["kv_lora_rank"] = c.mla.kv_rank;
  out["qk_nope_head_dim"] = c.mla.nope_dim;
  out["qk_rope_head_dim"] = c.mla.rope_dim;
  out["v_head_dim"] = c.mla.v_dim;
  out["attention_bias"] = false;
  out["attention_dropout"] = 0.0;
  out["rope_theta"] = c.mla.rope.theta;
  out["rope_scaling"] = nullptr;
  if (auto const& yarn = c.mla.rope.yarn; yarn.factor > 1.0)
    out["rope_scaling"] = {{"type", "yarn"},
                           {"rope_type", "yarn"},
                           {"factor", yarn.factor},
                           {"original_max_position_embeddings", yarn.original_context},
                           {"beta_fast", yarn.beta_fast},
                           {"beta_slow", yarn.beta_slow},
                           {"mscale", yarn.mscale},
                           {"mscale_all_dim", yarn.mscale_all_dim}};
  // A dense model is one whose first layers without experts are all its layers, MTP modules among them.
  bool const dense = c.moe.experts == 0;
  out["first_k_dense_replace"] = dense ? c.layers + c.mtp_depth : c.dense_layers;
  out["moe_layer_freq"] = 1;
  out["n_routed_experts"] = dense ? 1 : c.moe.experts;
  out["n_shared_experts"] = dense ? 1 : c.moe.shared;
  out["num_experts_per_tok"] = dense ? 1 : c.moe.top_k;
  out["n_group"] = dense ? 1 : c.moe.groups;
  out["topk_group"] = dense ? 1 : c.moe.top_groups;
  out["moe_intermediate_size"] = dense ? 1 : c.moe.hidden_dim;
  out["routed_scaling_factor"] = c.moe.gate_scale;
  out["norm_topk_prob"] = v2 ? false : c.moe.normalize_gates;
  out["scoring_func"] = v2 ? "softmax" : "sigmoid";
  out["topk_method"] = !v2                                           ? "noaux_tc"
                       : c.moe.selection == Selection::group_limited ? "group_limited_greedy"
                                                                     : "greedy";
  out["num_nextn_predict_layers"] = c.mtp_depth;
  out["tie_word_embeddings"] = false;
  out["torch_dtype"] = type == WeightType::f32 ? "float32" : "bfloat16";
  out["use_cache"] = true;
  out["bos_token_id"] = tokens.bos >= 0 ? Ordered(tokens.bos) : Ordered();
  out["eos_token_id"] = tokens.eos >= 0 ? Ordered(tokens.eos) : Ordered();
  out["pad_token_id"] = tokens.pad >= 0 ? Ordered(tokens.pad) : Ordered();
  if (type == WeightType::fp8)
    out["quantization_config"] = {{"quant_method", "fp8"},
                                  {"fmt", "e4m3"},
                                  {"activation_scheme", "dynamic"},
                                  {"weight_block_size", {scale_block, scale_block}}};
  if (type == WeightType::fp8 && scale_form == ScaleForm::power_of_two)
    out["quantization_config"]["scale_fmt"] = "ue8m0";
  return out.dump(2) + '\n';
}

}  // namespace aeth::interchange
