/// The tensors that a configuration has in Hugging Face files, as a list made at run time: for programs that look
/// at checkpoints of models they were not compiled for.
///
/// source   the tensor names of the released DeepSeek-V2 and V3 weights
#pragma once

#include <string>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::interchange {

/// What a tensor is for; decides its type in exports.
enum class TensorRole {
  linear,     ///< a matrix product: the only role that FP8 checkpoints quantise
  embedding,  ///< embedding and head
  router,     ///< also eh_proj of MTP: matrices that stay in 16 bits beside FP8
  norm,       ///< gains, one extent
  bias,       ///< selection bias [E]: always FP32
};

struct ExpectedTensor {
  std::string name;
  Index rows = 0;
  Index cols = 0;
  TensorRole role = TensorRole::linear;

  [[nodiscard]] Index size() const { return rows * cols; }
  [[nodiscard]] io::TensorShape shape() const {
    auto const r = static_cast<std::uint64_t>(rows), c = static_cast<std::uint64_t>(cols);
    return role == TensorRole::norm || role == TensorRole::bias ? io::TensorShape{r * c}
                                                                : io::TensorShape{r, c};
  }
};

namespace detail {

class TensorLister {
 public:
  explicit TensorLister(ModelConfig const& config) : c_(config) {}

  [[nodiscard]] std::vector<ExpectedTensor> list() {
    add("model.embed_tokens.weight", c_.vocab_size, c_.dim, TensorRole::embedding);
    for (int layer = 0; layer < c_.layers; ++layer)
      block(text("model.layers.", layer), c_.is_moe_layer(layer));
    add("model.norm.weight", 1, c_.dim, TensorRole::norm);
    add("lm_head.weight", c_.vocab_size, c_.dim, TensorRole::embedding);
    for (int depth = 0; depth < c_.mtp_depth; ++depth) {
      std::string const name = text("model.layers.", c_.layers + depth);
      add(name + ".enorm.weight", 1, c_.dim, TensorRole::norm);
      add(name + ".hnorm.weight", 1, c_.dim, TensorRole::norm);
      add(name + ".eh_proj.weight", c_.dim, 2 * c_.dim, TensorRole::router);
      block(name, c_.moe.experts > 0);
      add(name + ".shared_head.norm.weight", 1, c_.dim, TensorRole::norm);
    }
    tensors_.insert(tensors_.end(), biases_.begin(), biases_.end());
    return std::move(tensors_);
  }

 private:
  void add(std::string name, Index rows, Index cols, TensorRole role = TensorRole::linear) {
    tensors_.push_back({std::move(name), rows, cols, role});
  }

  void block(std::string const& name, bool with_experts) {
    auto const& a = c_.mla;
    add(name + ".input_layernorm.weight", 1, c_.dim, TensorRole::norm);
    std::string const attention = name + ".self_attn";
    if (a.q_rank > 0) {
      add(attention + ".q_a_proj.weight", a.q_rank, c_.dim);
      add(attention + ".q_a_layernorm.weight", 1, a.q_rank, TensorRole::norm);
      add(attention + ".q_b_proj.weight", Index{a.heads} * a.qk_dim(), a.q_rank);
    } else {
      add(attention + ".q_proj.weight", Index{a.heads} * a.qk_dim(), c_.dim);
    }
    add(attention + ".kv_a_proj_with_mqa.weight", a.kv_rank + a.rope_dim, c_.dim);
    add(attention + ".kv_a_layernorm.weight", 1, a.kv_rank, TensorRole::norm);
    add(attention + ".kv_b_proj.weight", Index{a.heads} * (a.nope_dim + a.v_dim), a.kv_rank);
    add(attention + ".o_proj.weight", c_.dim, Index{a.heads} * a.v_dim);
    add(name + ".post_attention_layernorm.weight", 1, c_.dim, TensorRole::norm);
    if (!with_experts) return ffn(name + ".mlp", c_.ffn_dim);
    add(name + ".mlp.gate.weight", c_.moe.experts, c_.dim, TensorRole::router);
    for (int expert = 0; expert < c_.moe.experts; ++expert)
      ffn(text(name, ".mlp.experts.", expert), c_.moe.hidden_dim);
    if (c_.moe.shared > 0) ffn(name + ".mlp.shared_experts", Index{c_.moe.shared} * c_.moe.hidden_dim);
    if (c_.moe.selection == Selection::bias_corrected)
      biases_.push_back({name + ".mlp.gate.e_score_correction_bias", 1, c_.moe.experts, TensorRole::bias});
  }

  void ffn(std::string const& name, Index hidden) {
    add(name + ".gate_proj.weight", hidden, c_.dim);
    add(name + ".up_proj.weight", hidden, c_.dim);
    add(name + ".down_proj.weight", c_.dim, hidden);
  }

  ModelConfig const& c_;
  std::vector<ExpectedTensor> tensors_, biases_;
};

}  // namespace detail

/// All parameters in the order of Model::parameters(), then all selection biases.
[[nodiscard]] inline std::vector<ExpectedTensor> expected_tensors(ModelConfig const& config) {
  return detail::TensorLister(config).list();
}

}  // namespace aeth::interchange
