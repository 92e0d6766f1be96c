/// Which tensors a GGUF file has of a model, and where their rows are in the model's own tensors.
///
/// legend   L layers · D width · V vocabulary · H heads · C latent rank · N non-rotary head size · U value
///          head size · E experts
/// source   llama.cpp, https://github.com/ggml-org/llama.cpp: the tensors of the architecture `deepseek2`, and
///          `DeepseekV2Model` of its converter
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/text.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::interchange {

/// How a tensor of a file is made of a model's.
enum class GgufLayout {
  plain,    ///< the same numbers in the same order
  stacked,  ///< experts' matrices, one after another: [E, rows, columns]
  keys,     ///< the N key rows of each head of kv_b [H·(N+U), C], transposed: [H, C, N]
  values,   ///< its U value rows: [H, U, C]
};

/// One tensor of a file.
struct GgufPlan {
  std::string name;
  io::TensorShape shape;  ///< slowest first
  GgufLayout layout = GgufLayout::plain;
  std::vector<std::string> sources;  ///< names of the model's tensors
  bool exact = false;                ///< norms, router and selection bias: F32 whatever the others are

  /// Numbers of a row, the last extent.
  [[nodiscard]] std::uint64_t columns() const { return shape.back(); }
  [[nodiscard]] std::uint64_t rows() const { return *io::element_count(shape) / shape.back(); }
};

/// A row of a file's tensor in the model: its first number in sources[source], and how far apart they are.
struct GgufRow {
  std::size_t source = 0;
  std::uint64_t first = 0;
  std::uint64_t stride = 1;
};

[[nodiscard]] inline GgufRow gguf_row(GgufPlan const& plan, MlaConfig const& mla, std::uint64_t row) {
  auto const n = static_cast<std::uint64_t>(mla.nope_dim), u = static_cast<std::uint64_t>(mla.v_dim),
             c = static_cast<std::uint64_t>(mla.kv_rank);
  switch (plan.layout) {
    case GgufLayout::stacked: {
      std::uint64_t const rows = plan.shape[1];
      return {static_cast<std::size_t>(row / rows), row % rows * plan.columns(), 1};
    }
    case GgufLayout::keys:
      return {0, row / c * (n + u) * c + row % c, c};
    case GgufLayout::values:
      return {0, (row / u * (n + u) + n + row % u) * c, 1};
    default:
      return {0, row * plan.columns(), 1};
  }
}

namespace detail {

/// Adds the tensors of one layer.
class GgufLayerPlan {
 public:
  GgufLayerPlan(std::vector<GgufPlan>& out, int layer)
      : out_(out), ours_(text("model.layers.", layer, '.')), theirs_(text("blk.", layer, '.')) {}

  void norm(std::string_view name, std::string_view source, int size) {
    add(name, source, {extent(size)}).exact = true;
  }
  void matrix(std::string_view name, std::string_view source, int rows, int columns) {
    add(name, source, {extent(rows), extent(columns)});
  }

  void attention(ModelConfig const& c) {
    MlaConfig const& m = c.mla;
    norm("attn_norm", "input_layernorm", c.dim);
    if (m.q_rank > 0) {
      matrix("attn_q_a", "self_attn.q_a_proj", m.q_rank, c.dim);
      norm("attn_q_a_norm", "self_attn.q_a_layernorm", m.q_rank);
      matrix("attn_q_b", "self_attn.q_b_proj", m.heads * m.qk_dim(), m.q_rank);
    } else {
      matrix("attn_q", "self_attn.q_proj", m.heads * m.qk_dim(), c.dim);
    }
    matrix("attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa", m.kv_rank + m.rope_dim, c.dim);
    norm("attn_kv_a_norm", "self_attn.kv_a_layernorm", m.kv_rank);
    add("attn_k_b", "self_attn.kv_b_proj", {extent(m.heads), extent(m.kv_rank), extent(m.nope_dim)}).layout =
        GgufLayout::keys;
    add("attn_v_b", "self_attn.kv_b_proj", {extent(m.heads), extent(m.v_dim), extent(m.kv_rank)}).layout =
        GgufLayout::values;
    matrix("attn_output", "self_attn.o_proj", c.dim, m.heads * m.v_dim);
    norm("ffn_norm", "post_attention_layernorm", c.dim);
  }

  void feed_forward(std::string_view suffix, std::string_view source, int hidden, int dim) {
    matrix(text("ffn_gate", suffix), text(source, ".gate_proj"), hidden, dim);
    matrix(text("ffn_up", suffix), text(source, ".up_proj"), hidden, dim);
    matrix(text("ffn_down", suffix), text(source, ".down_proj"), dim, hidden);
  }

  void experts(ModelConfig const& c) {
    MoeConfig const& m = c.moe;
    add("ffn_gate_inp", "mlp.gate", {extent(m.experts), extent(c.dim)}).exact = true;
    if (m.selection == Selection::bias_corrected)
      out_.push_back({theirs_ + "exp_probs_b.bias",
                      {extent(m.experts)},
                      GgufLayout::plain,
                      {ours_ + "mlp.gate.e_score_correction_bias"},
                      true});
    stack("gate", m.experts, m.hidden_dim, c.dim);
    stack("up", m.experts, m.hidden_dim, c.dim);
    stack("down", m.experts, c.dim, m.hidden_dim);
    if (m.shared > 0) feed_forward("_shexp", "mlp.shared_experts", m.shared * m.hidden_dim, c.dim);
  }

 private:
  static std::uint64_t extent(int size) { return static_cast<std::uint64_t>(size); }

  GgufPlan& add(std::string_view name, std::string_view source, io::TensorShape shape) {
    return out_.emplace_back(GgufPlan{text(theirs_, name, ".weight"),
                                      std::move(shape),
                                      GgufLayout::plain,
                                      {text(ours_, source, ".weight")}});
  }

  void stack(std::string_view part, int experts, int rows, int columns) {
    GgufPlan plan{text(theirs_, "ffn_", part, "_exps.weight"),
                  {extent(experts), extent(rows), extent(columns)},
                  GgufLayout::stacked,
                  {}};
    for (int e = 0; e < experts; ++e)
      plan.sources.push_back(text(ours_, "mlp.experts.", e, '.', part, "_proj.weight"));
    out_.push_back(std::move(plan));
  }

  std::vector<GgufPlan>& out_;
  std::string ours_, theirs_;
};

}  // namespace detail

/// All tensors of a file, in its order. MTP modules are not among them: llama.cpp runs none of this
/// architecture but in its latest releases, earlier ones refuse files with tensors that they do not know, and
/// its converter leaves them out.
[[nodiscard]] inline std::vector<GgufPlan> gguf_plan(ModelConfig const& c) {
  auto const v = static_cast<std::uint64_t>(c.vocab_size), d = static_cast<std::uint64_t>(c.dim);
  std::vector<GgufPlan> out;
  out.push_back({"token_embd.weight", {v, d}, GgufLayout::plain, {"model.embed_tokens.weight"}});
  for (int i = 0; i < c.layers; ++i) {
    detail::GgufLayerPlan layer(out, i);
    layer.attention(c);
    if (c.is_moe_layer(i))
      layer.experts(c);
    else
      layer.feed_forward("", "mlp", c.ffn_dim, c.dim);
  }
  out.push_back({"output_norm.weight", {d}, GgufLayout::plain, {"model.norm.weight"}, true});
  out.push_back({"output.weight", {v, d}, GgufLayout::plain, {"lm_head.weight"}});
  return out;
}

}  // namespace aeth::interchange
