/// Takes a configuration out of a parsed config.json and keeps a list of everything that is wrong with it.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/config/rules.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/json.hpp"
#include "aeth/numeric/block_scales.hpp"

namespace aeth::interchange {

/// What a config.json says beside the configuration itself.
struct ConfigJson {
  ModelConfig config;
  std::string model_type;
  bool tied_embeddings = false;  ///< tie_word_embeddings: the head is the embedding
  bool fp8 = false;              ///< quantization_config: E4M3 codes with `weight_scale_inv`
  ScaleForm scale_form = ScaleForm::any;
  io::Json keys;  ///< everything, sorted by key
};

namespace detail {

class ConfigReader {
 public:
  ConfigReader(io::Json const& root, std::string_view file) : root_(root), file_(file) {}

  [[nodiscard]] ConfigJson read() {
    read_type();
    read_sizes();
    read_experts();
    read_rope();
    read_quantization();
    for (char const* key : {"attention_bias", "mlp_bias"})
      if (boolean(key, false)) complain(key, " is true; attention and FFN have no biases here");
    if (auto const act = word("hidden_act", "silu"); act != "silu")
      complain("hidden_act is ", io::in_quotes(act), "; only silu is supported");
    result_.tied_embeddings = boolean("tie_word_embeddings", false);
    int const kv_heads = whole(root_, "num_key_value_heads", result_.config.mla.heads);
    if (kv_heads != result_.config.mla.heads)
      complain("num_key_value_heads is ", kv_heads,
               ", not num_attention_heads; latent attention has one per head");
    if (problems_.empty())
      for_each_violation(result_.config, [&](char const* sentence, auto left, char const* op, auto right) {
        complain(sentence, " (", left, ' ', op, ' ', right, " does not hold)");
      });
    finish();
    result_.keys = root_;
    return std::move(result_);
  }

 private:
  template <class... Parts>
  void complain(Parts const&... parts) {
    problems_.push_back(text(parts...));
  }

  void finish() const {
    if (problems_.empty()) return;
    std::string message = text(file_, ": not a configuration that can be used; mend or report these keys:");
    for (std::string const& problem : problems_) message += "\n  " + problem;
    throw ConfigError(message);
  }

  void read_type() {
    result_.model_type = word("model_type", "");
    for (char const* known : {"deepseek_v2", "deepseek_v3", "kimi_k2"})
      if (result_.model_type == known) return;
    complain("model_type is ", io::in_quotes(result_.model_type),
             "; deepseek_v2, deepseek_v3 and kimi_k2 are supported");
    finish();  // keys of another family would only bury this
  }

  void read_sizes() {
    ModelConfig& c = result_.config;
    c.vocab_size = whole("vocab_size");
    c.dim = whole("hidden_size");
    c.layers = whole("num_hidden_layers");
    c.ffn_dim = whole("intermediate_size");
    c.max_context = whole("max_position_embeddings");
    c.norm_eps = real(root_, "rms_norm_eps", 1e-6);
    c.mtp_depth = whole(root_, "num_nextn_predict_layers", 0);
    c.mla.heads = whole("num_attention_heads");
    c.mla.q_rank = whole(root_, "q_lora_rank", 0);
    c.mla.kv_rank = whole("kv_lora_rank");
    c.mla.nope_dim = whole("qk_nope_head_dim");
    c.mla.rope_dim = whole("qk_rope_head_dim");
    c.mla.v_dim = whole("v_head_dim");
  }

  void read_experts() {
    bool const v2 = result_.model_type == "deepseek_v2";
    ModelConfig& c = result_.config;
    c.moe.experts = whole(root_, "n_routed_experts", 0);
    c.dense_layers = whole(root_, "first_k_dense_replace", 0);
    if (c.moe.experts == 0 ||
        (c.layers > 0 && c.dense_layers >= c.layers)) {  // a dense model, however many experts it could have
      c.moe = {};
      c.dense_layers = c.layers;
      return;
    }
    if (!v2)  // whose defaults differ between the code that was released and that of other engines
      for (char const* const key :
           {"n_shared_experts", "n_group", "topk_group", "routed_scaling_factor", "first_k_dense_replace"})
        if (!root_.contains(key)) complain(key, " is missing");
    c.moe.shared = whole(root_, "n_shared_experts", 0);
    c.moe.top_k = whole("num_experts_per_tok");
    c.moe.groups = whole(root_, "n_group", 1);
    c.moe.top_groups = whole(root_, "topk_group", 1);
    c.moe.hidden_dim = whole("moe_intermediate_size");
    c.moe.layer_stride = whole(root_, "moe_layer_freq", 1);
    c.moe.gate_scale = real(root_, "routed_scaling_factor", 1.0);
    c.moe.normalize_gates = boolean("norm_topk_prob", !v2);
    auto const scoring = word("scoring_func", v2 ? "softmax" : "sigmoid");
    if (scoring != "softmax" && scoring != "sigmoid")
      complain("scoring_func is ", io::in_quotes(scoring), "; softmax and sigmoid are supported");
    c.moe.scoring = scoring == "softmax" ? Scoring::softmax : Scoring::sigmoid;
    auto const method = word("topk_method", v2 ? "greedy" : "noaux_tc");
    if (method == "greedy" || method == "gready")  // spelled so in early files of V2-Lite
      c.moe.selection = Selection::greedy;
    else if (method == "group_limited_greedy")
      c.moe.selection = Selection::group_limited;
    else if (method == "noaux_tc")
      c.moe.selection = Selection::bias_corrected;
    else
      complain("topk_method is ", io::in_quotes(method),
               "; greedy, group_limited_greedy and noaux_tc are supported");
  }

  void read_rope() {
    RopeConfig& rope = result_.config.mla.rope;
    if (!boolean("rope_interleave", true))
      complain("rope_interleave is false; weights whose rotary rows were moved apart are not supported");
    io::Json const& old_form = object("rope_scaling");
    io::Json const& new_form = object("rope_parameters");
    io::Json const& scaling = new_form.empty() ? old_form : new_form;
    rope.theta = real(new_form, "rope_theta", real(root_, "rope_theta", 10000.0));
    std::string const type = word(scaling, "rope_type", word(scaling, "type", "default"));
    if (type == "default") return;
    if (type != "yarn") {
      complain("rope_scaling has the type ", io::in_quotes(type), "; only yarn is supported");
      return;
    }
    rope.yarn = {.factor = real(scaling, "factor", 0.0),
                 .original_context = whole(scaling, "original_max_position_embeddings", 0),
                 .beta_fast = real(scaling, "beta_fast", 32.0),
                 .beta_slow = real(scaling, "beta_slow", 1.0),
                 .mscale = real(scaling, "mscale", 1.0),
                 .mscale_all_dim = real(scaling, "mscale_all_dim", 0.0)};
    if (scaling.contains("attention_factor") && !scaling["attention_factor"].is_null())
      complain("rope_scaling.attention_factor is given; only factors that follow from mscale are supported");
    if (scaling.contains("truncate") && scaling["truncate"] != true)
      complain("rope_scaling.truncate is not true; DeepSeek's ramp begins and ends at whole dimensions");
    if (rope.yarn.factor == 1.0) rope.yarn = {};  // nothing is stretched, whatever the rest says
  }

  void read_quantization() {
    io::Json const& q = object("quantization_config");
    if (q.empty()) return;
    result_.fp8 = true;
    if (word(q, "quant_method", "") != "fp8" || word(q, "fmt", "e4m3") != "e4m3")
      complain(
          "quantization_config is not DeepSeek's FP8 (quant_method fp8, fmt e4m3); convert the weights "
          "first");
    io::Json const block = q.contains("weight_block_size") ? q["weight_block_size"] : io::Json();
    if (block != io::Json::array({scale_block, scale_block}))
      complain("quantization_config.weight_block_size is ", block.dump(), "; only [128, 128] is supported");
    if (word(q, "scale_fmt", "") == "ue8m0") result_.scale_form = ScaleForm::power_of_two;
  }

  /// An object under a key; absent and null count as empty.
  [[nodiscard]] io::Json const& object(char const* key) {
    static io::Json const empty = io::Json::object();
    auto const found = root_.find(key);
    if (found == root_.end() || found->is_null()) return empty;
    if (found->is_object()) return *found;
    complain(key, " is a JSON ", found->type_name(), ", not an object");
    return empty;
  }

  [[nodiscard]] int whole(char const* key) {
    if (!root_.contains(key) || root_[key].is_null()) {
      complain(key, " is missing");
      return 0;
    }
    return whole(root_, key, 0);
  }

  /// Whole numbers may be spelled as 32.0.
  [[nodiscard]] int whole(io::Json const& in, char const* key, int absent) {
    double const value = real(in, key, absent);
    if (value == std::floor(value) && std::fabs(value) <= 2147483647.0) return static_cast<int>(value);
    complain(key, " is ", value, "; a whole number below 2^31 is needed");
    return absent;
  }

  [[nodiscard]] double real(io::Json const& in, char const* key, double absent) {
    auto const found = in.find(key);
    if (found == in.end() || found->is_null()) return absent;
    if (found->is_number()) return found->get<double>();
    complain(key, " is a JSON ", found->type_name(), ", not a number");
    return absent;
  }

  [[nodiscard]] bool boolean(char const* key, bool absent) {
    auto const found = root_.find(key);
    if (found == root_.end() || found->is_null()) return absent;
    if (found->is_boolean()) return found->get<bool>();
    complain(key, " is a JSON ", found->type_name(), ", not true or false");
    return absent;
  }

  [[nodiscard]] std::string word(char const* key, char const* absent) { return word(root_, key, absent); }
  [[nodiscard]] std::string word(io::Json const& in, char const* key, std::string absent) {
    auto const found = in.find(key);
    if (found == in.end() || found->is_null()) return absent;
    if (found->is_string()) return found->get<std::string>();
    complain(key, " is a JSON ", found->type_name(), ", not text");
    return absent;
  }

  io::Json const& root_;
  std::string_view file_;
  ConfigJson result_;
  std::vector<std::string> problems_;
};

}  // namespace detail
}  // namespace aeth::interchange
