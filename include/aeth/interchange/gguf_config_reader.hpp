/// The configuration that a GGUF file's `deepseek2.` keys describe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/config/describe.hpp"
#include "aeth/config/differences.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/violations.hpp"
#include "aeth/core/error.hpp"
#include "aeth/interchange/gguf_config.hpp"
#include "aeth/io/gguf_value.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::interchange {
namespace detail {

/// Takes the values of one file and keeps a line for each that is missing or makes no sense.
class GgufConfigReader {
 public:
  explicit GgufConfigReader(io::GgufMetadata const& metadata) : metadata_(metadata) {}

  [[nodiscard]] std::vector<std::string>& problems() noexcept { return problems_; }

  /// A size. `missing` is what a file without the key means; -1: every file has it.
  [[nodiscard]] int size(std::string_view key, int missing = -1) {
    io::GgufValue const* const value = find(key, missing < 0);
    if (value == nullptr) return missing < 0 ? 0 : missing;
    auto const number = io::whole_number(*value);
    if (number && *number <= std::uint64_t{(std::numeric_limits<int>::max)()})
      return static_cast<int>(*number);
    wrong(key, "is no whole number below 2^31");
    return 0;
  }

  [[nodiscard]] double real(std::string_view key, double missing) {
    io::GgufValue const* const value = find(key, false);
    if (value == nullptr) return missing;
    if (auto const* const number = std::get_if<float>(value)) return spelled(*number);
    wrong(key, "is no 32-bit floating-point number");
    return missing;
  }

  [[nodiscard]] bool truth(std::string_view key, bool missing) {
    io::GgufValue const* const value = find(key, false);
    if (value == nullptr) return missing;
    if (auto const* const found = std::get_if<bool>(value)) return *found;
    wrong(key, "is no truth value");
    return missing;
  }

  [[nodiscard]] std::string word(std::string_view key, std::string_view missing) {
    io::GgufValue const* const value = find(key, false);
    if (value == nullptr) return std::string(missing);
    if (auto const* const found = std::get_if<std::string>(value)) return *found;
    wrong(key, "is no text");
    return std::string(missing);
  }

  /// Refuses a value that says something else than the other keys do.
  void expect_size(std::string_view key, int wanted, std::string_view why) {
    int const found = size(key);
    if (found != wanted) wrong(key, text("is ", found, ", not ", wanted, ": ", why));
  }

  void wrong(std::string_view key, std::string_view what) {
    problems_.push_back(text(gguf_prefix, key, ' ', what));
  }

  /// Keys of the architecture that nobody asked for could change what the model computes.
  void refuse_unknown() {
    for (auto const& [key, value] : metadata_)
      if (key.starts_with(gguf_prefix) && std::find(asked_.begin(), asked_.end(), key) == asked_.end())
        problems_.push_back(text(io::in_quotes(key), " is unknown"));
  }

 private:
  [[nodiscard]] io::GgufValue const* find(std::string_view key, bool required) {
    asked_.push_back(text(gguf_prefix, key));
    auto const found = metadata_.find(asked_.back());
    if (found != metadata_.end()) return &found->second;
    if (required) wrong(key, "is missing");
    return nullptr;
  }

  io::GgufMetadata const& metadata_;
  std::vector<std::string> asked_;
  std::vector<std::string> problems_;
};

inline YarnConfig read_yarn(GgufConfigReader& in) {
  YarnConfig yarn;
  std::string const type = in.word("rope.scaling.type", "none");
  yarn.factor = in.real("rope.scaling.factor", 1.0);
  yarn.original_context = in.size("rope.scaling.original_context_length", yarn.original_context);
  yarn.beta_fast = in.real("rope.scaling.yarn_beta_fast", yarn.beta_fast);
  yarn.beta_slow = in.real("rope.scaling.yarn_beta_slow", yarn.beta_slow);
  yarn.mscale = yarn.mscale_all_dim = through_float(10.0 * in.real("rope.scaling.yarn_log_multiplier", 0.0));
  if (yarn.factor > 1.0 && yarn.mscale == 0.0)
    in.wrong("rope.scaling.yarn_log_multiplier",
             "is missing or 0; files of before it came are not computed alike");
  if (type != "yarn" && yarn.factor != 1.0)
    in.wrong("rope.scaling.type", text("is ", io::in_quotes(type), "; only 'yarn' is computed"));
  return yarn;
}

inline MoeConfig read_moe(GgufConfigReader& in) {
  MoeConfig moe;
  moe.hidden_dim = in.size("expert_feed_forward_length");
  moe.shared = in.size("expert_shared_count");
  moe.experts = in.size("expert_count", 0);
  moe.top_k = in.size("expert_used_count", 0);
  moe.groups = in.size("expert_group_count", 1);
  moe.top_groups = in.size("expert_group_used_count", 1);
  moe.normalize_gates = in.truth("expert_weights_norm", false);
  moe.gate_scale = in.real("expert_weights_scale", 1.0);
  int const gating = in.size("expert_gating_func", 1);
  if (gating != 1 && gating != 2)
    in.wrong("expert_gating_func", text("is ", gating, "; 1 (softmax) and 2 (sigmoid) are computed"));
  moe.scoring = gating == 1 ? Scoring::softmax : Scoring::sigmoid;
  moe.selection = Selection::bias_corrected;
  return moe;
}

}  // namespace detail

/// The configuration in gguf_form() that a file's keys describe, checked against all rules. Nothing is sized
/// by it before that.
///
/// errors   ConfigError that lists every missing, unknown and impossible key, or every rule that is broken
[[nodiscard]] inline ModelConfig read_gguf_config(io::GgufMetadata const& metadata, std::string_view file) {
  auto const* const architecture = io::find_value<std::string>(metadata, "general.architecture");
  expect<ConfigError>(
      architecture != nullptr && *architecture == gguf_architecture, file, ": its general.architecture is ",
      architecture == nullptr ? "missing" : io::in_quotes(*architecture), "; only 'deepseek2' is read");
  detail::GgufConfigReader in(metadata);
  ModelConfig c;
  auto const* const tokens = io::find_value<std::vector<std::string>>(metadata, "tokenizer.ggml.tokens");
  c.vocab_size = in.size("vocab_size", tokens == nullptr ? -1 : static_cast<int>(tokens->size()));
  c.max_context = in.size("context_length");
  c.dim = in.size("embedding_length");
  c.layers = in.size("block_count");
  c.dense_layers = in.size("leading_dense_block_count", 0);
  c.ffn_dim = in.size("feed_forward_length");
  c.mla.heads = in.size("attention.head_count");
  c.mla.q_rank = in.size("attention.q_lora_rank", 0);
  c.mla.kv_rank = in.size("attention.kv_lora_rank");
  c.mla.rope_dim = in.size("rope.dimension_count");
  c.mla.v_dim = in.size("attention.value_length_mla");
  // Sums and differences of sizes from a file: 64 bits hold them, int need not.
  auto const bounded = [](std::int64_t n) {
    return static_cast<int>((std::min)(n, std::int64_t{(std::numeric_limits<int>::max)()}));
  };
  c.mla.nope_dim = bounded(std::int64_t{in.size("attention.key_length_mla")} - c.mla.rope_dim);
  constexpr std::string_view why = "the file was converted for attention that is not absorbed; convert again";
  in.expect_size("attention.head_count_kv", 1, why);
  in.expect_size("attention.key_length", bounded(std::int64_t{c.mla.kv_rank} + c.mla.rope_dim), why);
  in.expect_size("attention.value_length", c.mla.kv_rank, why);
  c.norm_eps = c.mla.norm_eps = in.real("attention.layer_norm_rms_epsilon", 1e-6);
  c.mla.rope.theta = in.real("rope.freq_base", 10000.0);
  c.mla.rope.yarn = detail::read_yarn(in);
  c.moe = detail::read_moe(in);
  if (c.moe.experts == 0 && c.dense_layers < c.layers)
    in.wrong("expert_count",
             text("is 0, but only the first ", c.dense_layers, " of ", c.layers, " layers are dense"));
  if (in.size("nextn_predict_layers", 0) != 0)
    in.wrong("nextn_predict_layers", "is not 0; convert the model without its MTP layers");
  in.refuse_unknown();
  std::string lines;
  for (std::string const& line : in.problems()) lines += "\n  " + line;
  expect<ConfigError>(lines.empty(), file,
                      ": its keys describe no model that is read; convert it again:", lines);
  require_valid(c, file);
  return gguf_form(c);
}

/// Whether a file is of this configuration, as far as files tell.
///
/// errors   ConfigError as read_gguf_config(), or one that lists all fields that differ
inline void expect_gguf_config(io::GgufMetadata const& metadata, ModelConfig const& config,
                               std::string_view file) {
  ModelConfig const theirs = read_gguf_config(metadata, file), ours = gguf_form(config);
  if (theirs == ours) return;
  std::string message = text(file, ": made by another model configuration; use the one it was made with");
  for (std::string const& line : differing_fields(describe(theirs), describe(ours))) message += "\n  " + line;
  throw ConfigError(message);
}

}  // namespace aeth::interchange
