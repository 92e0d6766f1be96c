/// A model's configuration as the `deepseek2.` keys of GGUF files, and what of it llama.cpp cannot compute.
///
/// source   llama.cpp, https://github.com/ggml-org/llama.cpp: the loader and the graph of the architecture
///          `deepseek2`, and `DeepseekV2Model` of its converter
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/error.hpp"
#include "aeth/io/gguf_value.hpp"

namespace aeth::interchange {

/// What general.architecture says, and how the keys of a configuration begin.
inline constexpr std::string_view gguf_architecture = "deepseek2", gguf_prefix = "deepseek2.";

namespace detail {

/// The first layer with experts, or the count of layers if there is none.
[[nodiscard]] constexpr int leading_dense_layers(ModelConfig const& c) noexcept {
  int layer = 0;
  while (layer < c.layers && !c.is_moe_layer(layer)) ++layer;
  return layer;
}

/// Whether a token's experts all come from some of the groups.
[[nodiscard]] constexpr bool has_group_limit(MoeConfig const& c) noexcept {
  return c.experts > 0 && c.selection != Selection::greedy && c.top_groups < c.groups;
}

/// The number that a float's shortest decimal spells: files have 1e-6 as a float, configurations as a double.
[[nodiscard]] inline double spelled(float value) noexcept {
  char digits[32];
  char const* const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double out = 0;
  std::from_chars(digits, end, out);
  return out;
}

[[nodiscard]] inline double through_float(double value) noexcept {
  return spelled(static_cast<float>(value));
}

}  // namespace detail

/// What of a configuration llama.cpp would compute differently, one sentence each; empty if nothing.
[[nodiscard]] inline std::vector<std::string> gguf_obstacles(ModelConfig const& c) {
  std::vector<std::string> out;
  int const dense = detail::leading_dense_layers(c);
  YarnConfig const& yarn = c.mla.rope.yarn;
  if (c.mla.norm_eps != c.norm_eps)
    out.push_back(text("mla.norm_eps is ", c.mla.norm_eps, " and norm_eps ", c.norm_eps,
                       "; there is one for all norms"));
  if (yarn.factor > 1.0 && (yarn.mscale != yarn.mscale_all_dim || yarn.mscale == 0.0))
    out.push_back(text("mla.rope.yarn.mscale is ", yarn.mscale, " and mscale_all_dim ", yarn.mscale_all_dim,
                       "; they must be equal and not 0"));
  if (detail::has_group_limit(c.moe) && c.moe.selection == Selection::group_limited)
    out.push_back("moe.selection is group_limited; a group is scored by its two best experts, not by one");
  if (dense < c.layers && c.moe.shared == 0)
    out.push_back("moe.shared is 0; a layer with experts must have shared ones");
  for (int layer = dense + 1; layer < c.layers; ++layer)
    if (!c.is_moe_layer(layer)) {
      out.push_back(text("layer ", layer, " is dense behind one with experts (moe.layer_stride is ",
                         c.moe.layer_stride, "); only the first layers may be dense"));
      break;
    }
  if (c.mla.q_rank > 0 && (c.layers == 26 || c.layers == 27))
    out.push_back(text("mla.q_rank is ", c.mla.q_rank, "; queries of models with ", c.layers,
                       " layers are taken for uncompressed, as in V2-Lite"));
  return out;
}

/// errors   ConfigError with all obstacles
inline void expect_gguf_can_hold(ModelConfig const& c) {
  std::string lines;
  for (std::string const& line : gguf_obstacles(c)) lines += "\n  - " + line;
  expect<ConfigError>(lines.empty(),
                      "gguf: llama.cpp would run this model configuration differently; keep the model as "
                      "safetensors, or train one without:",
                      lines);
}

/// A configuration without what files do not have and what changes no result: training, the MTP modules, and
/// whichever of several ways to say the same. Configurations of equal form are one file.
///
/// Files tell the selection with a bias from the greedy one by a tensor, not by a key.
[[nodiscard]] inline ModelConfig gguf_form(ModelConfig c) {
  ModelConfig const defaults;
  using detail::through_float;
  int const dense = detail::leading_dense_layers(c);
  bool const limited = detail::has_group_limit(c.moe);
  c.init_std = defaults.init_std;
  c.mtp_depth = defaults.mtp_depth;
  c.mtp_input = defaults.mtp_input;
  c.dense_layers = dense;
  c.norm_eps = through_float(c.norm_eps);
  c.mla.norm_eps = through_float(c.mla.norm_eps);
  c.mla.rope.theta = through_float(c.mla.rope.theta);
  YarnConfig& yarn = c.mla.rope.yarn;
  if (yarn.factor <= 1.0) yarn = defaults.mla.rope.yarn;
  for (double* const number :
       {&yarn.factor, &yarn.beta_fast, &yarn.beta_slow, &yarn.mscale, &yarn.mscale_all_dim})
    *number = through_float(*number);
  if (dense == c.layers) {
    c.moe = defaults.moe;
    return c;
  }
  c.moe.layer_stride = 1;
  c.moe.gate_scale = through_float(c.moe.gate_scale);
  if (!limited) c.moe.groups = c.moe.top_groups = 1;
  c.moe.selection =
      limited || c.moe.scoring == Scoring::sigmoid ? Selection::bias_corrected : Selection::greedy;
  return c;
}

/// The keys of a configuration, with all that llama.cpp reads.
///
/// Attention is in the absorbed form: one key-value head of C + R numbers, of which the first C are the
/// value. `yarn_log_multiplier` is a tenth of mscale_all_dim; the reader takes the tenth back.
///
/// errors   ConfigError as expect_gguf_can_hold()
[[nodiscard]] inline io::GgufMetadata gguf_config_keys(ModelConfig const& config) {
  expect_gguf_can_hold(config);
  ModelConfig const c = gguf_form(config);
  io::GgufMetadata out{{"general.architecture", std::string(gguf_architecture)}};
  auto const put = [&](std::string_view key, io::GgufValue value) {
    out.emplace(text(gguf_prefix, key), std::move(value));
  };
  auto const size = [&](std::string_view key, int value) { put(key, static_cast<std::uint32_t>(value)); };
  auto const real = [&](std::string_view key, double value) { put(key, static_cast<float>(value)); };
  size("vocab_size", c.vocab_size);
  size("context_length", c.max_context);
  size("embedding_length", c.dim);
  size("block_count", c.layers);
  size("leading_dense_block_count", c.dense_layers);
  size("feed_forward_length", c.ffn_dim);
  size("attention.head_count", c.mla.heads);
  size("attention.head_count_kv", 1);
  size("attention.q_lora_rank", c.mla.q_rank);  // 0 must be said: only V2-Lite may leave the key out
  size("attention.kv_lora_rank", c.mla.kv_rank);
  size("attention.key_length", c.mla.kv_rank + c.mla.rope_dim);
  size("attention.value_length", c.mla.kv_rank);
  size("attention.key_length_mla", c.mla.qk_dim());
  size("attention.value_length_mla", c.mla.v_dim);
  real("attention.layer_norm_rms_epsilon", c.norm_eps);
  size("rope.dimension_count", c.mla.rope_dim);
  real("rope.freq_base", c.mla.rope.theta);
  YarnConfig const& yarn = c.mla.rope.yarn;
  if (yarn.factor > 1.0) {
    put("rope.scaling.type", std::string("yarn"));
    real("rope.scaling.factor", yarn.factor);
    size("rope.scaling.original_context_length", yarn.original_context);
    real("rope.scaling.yarn_beta_fast", yarn.beta_fast);
    real("rope.scaling.yarn_beta_slow", yarn.beta_slow);
    real("rope.scaling.yarn_log_multiplier", 0.1 * yarn.mscale_all_dim);
  }
  // Models without experts must give these two all the same.
  size("expert_feed_forward_length", c.moe.experts > 0 ? c.moe.hidden_dim : c.ffn_dim);
  size("expert_shared_count", c.moe.shared);
  if (c.moe.experts == 0) return out;
  size("expert_count", c.moe.experts);
  size("expert_used_count", c.moe.top_k);
  if (c.moe.groups > 1) {
    size("expert_group_count", c.moe.groups);
    size("expert_group_used_count", c.moe.top_groups);
  }
  size("expert_gating_func", c.moe.scoring == Scoring::softmax ? 1 : 2);
  put("expert_weights_norm", c.moe.normalize_gates);
  real("expert_weights_scale", c.moe.gate_scale);
  return out;
}

}  // namespace aeth::interchange
