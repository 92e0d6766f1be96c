/// Every rule of a model configuration, written down once: `left op right`, with the sentence that a user
/// reads when it does not hold.
///
/// The lists are macros because static_assert takes only a literal, while the run-time check needs the same
/// sentence as data: `config/validate.hpp` turns each line into one static_assert (whose comparison the
/// compilers print with its values), `for_each_violation` here turns it into a test. A sentence is: field,
/// rule, and the reason or the remedy.
#pragma once

#include <bit>
#include <cstdint>

#include "aeth/config/model_config.hpp"
#include "aeth/core/math.hpp"

namespace aeth::detail {

/// Above this a size is a slip of the pen, and products of sizes could overflow 64 bits.
inline constexpr int largest_extent = 1 << 24;

/// Above this many parameters, memory sizes in bytes could overflow 64 bits.
inline constexpr double largest_model = 1e16;

/// Whether x is neither infinite nor NaN, by its exponent: nvcc compares no NaN in a constant expression, and
/// -ffast-math lets a compiler assume that there is none.
[[nodiscard]] constexpr bool is_finite(double x) noexcept {
  return (std::bit_cast<std::uint64_t>(x) >> 52 & 0x7FF) != 0x7FF;
}

/// x, or 0 if x is infinite or not a number, so that one comparison catches both.
[[nodiscard]] constexpr double finite_or_zero(double x) noexcept {
  return is_finite(x) ? x : 0.0;
}

/// x, or -1 if x is infinite or not a number: for a field that may be 0.
[[nodiscard]] constexpr double finite_or_negative(double x) noexcept {
  return is_finite(x) ? x : -1.0;
}

/// n mod d, or 0 if d is not positive (another rule reports that).
[[nodiscard]] constexpr int remainder(int n, int d) noexcept {
  return d > 0 ? n % d : 0;
}

/// Experts that the selection can choose from: those of the kept groups.
[[nodiscard]] constexpr Index reachable_experts(MoeConfig const& c) noexcept {
  if (c.selection == Selection::greedy || c.groups <= 0) return c.experts;
  return Index{c.top_groups} * (c.experts / c.groups);
}

/// Experts per group if the group's score is the sum of its two best, else a number that passes.
[[nodiscard]] constexpr int scored_group_size(MoeConfig const& c) noexcept {
  return c.selection == Selection::bias_corrected && c.groups > 1 ? c.experts / c.groups : 2;
}

/// Width of the dense FFN if any layer needs one, else a number that passes.
[[nodiscard]] constexpr int needed_ffn_dim(ModelConfig const& c) noexcept {
  bool const all_moe = c.moe.experts > 0 && c.dense_layers <= 0 && c.moe.layer_stride == 1;
  return all_moe ? 1 : c.ffn_dim;
}

[[nodiscard]] constexpr int largest_of(MlaConfig const& c) noexcept {
  return max(max(max(c.heads, c.q_rank), max(c.kv_rank, c.nope_dim)), max(c.rope_dim, c.v_dim));
}

[[nodiscard]] constexpr int largest_of(MoeConfig const& c) noexcept {
  return max(max(c.experts, c.shared), max(c.hidden_dim, c.layer_stride));
}

[[nodiscard]] constexpr int largest_of(ModelConfig const& c) noexcept {
  return max(max(c.vocab_size, c.dim), max(c.layers, c.ffn_dim));
}

/// About the number of parameters, in floating point so that absurd sizes cannot overflow.
[[nodiscard]] constexpr double rough_parameters(ModelConfig const& c) noexcept {
  double const width = c.dim;
  double const head_rows = double(c.mla.heads) * (2.0 * c.mla.nope_dim + c.mla.rope_dim + 2.0 * c.mla.v_dim);
  double const attention = (width + c.mla.q_rank + c.mla.kv_rank) * head_rows +
                           width * (double(c.mla.q_rank) + c.mla.kv_rank + c.mla.rope_dim);
  double const experts = (double(c.moe.experts) + c.moe.shared) * 3.0 * width * c.moe.hidden_dim;
  double const layer =
      attention + experts + 3.0 * width * c.ffn_dim + width * c.moe.experts + 2.0 * width * width;
  return 2.0 * width * c.vocab_size + layer * (double(c.layers) + c.mtp_depth);
}

}  // namespace aeth::detail

/// RULE(left, comparison, right, sentence) for each rule of an MlaConfig c.
#define AETH_MLA_RULES(RULE, c)                                                                            \
  RULE(c.heads, >, 0, "aeth: MlaConfig::heads must be positive; attention needs at least one head")        \
  RULE(c.q_rank, >=, 0,                                                                                    \
       "aeth: MlaConfig::q_rank must not be negative; write 0 for queries without compression")            \
  RULE(c.kv_rank, >, 0, "aeth: MlaConfig::kv_rank must be positive; it is the width of the cached latent") \
  RULE(c.nope_dim, >, 0,                                                                                   \
       "aeth: MlaConfig::nope_dim must be positive; it is the part of a head without rotation")            \
  RULE(c.rope_dim, >, 0,                                                                                   \
       "aeth: MlaConfig::rope_dim must be positive; positions enter through this part only")               \
  RULE(detail::remainder(c.rope_dim, 2), ==, 0,                                                            \
       "aeth: MlaConfig::rope_dim must be even; the rotation acts on pairs")                               \
  RULE(c.v_dim, >, 0, "aeth: MlaConfig::v_dim must be positive; it is the width of one value head")        \
  RULE(detail::largest_of(c), <=, detail::largest_extent,                                                  \
       "aeth: MlaConfig has a size above 16777216; check it for a misplaced digit")                        \
  RULE(detail::finite_or_zero(c.norm_eps), >, 0,                                                           \
       "aeth: MlaConfig::norm_eps must be positive and finite; it keeps the latent norms away from 1/0")   \
  RULE(detail::finite_or_zero(c.rope.theta), >, 1,                                                         \
       "aeth: RopeConfig::theta must be above 1 and finite; frequencies fall as theta^(-2i/rope_dim)")     \
  RULE(detail::finite_or_zero(c.rope.yarn.factor), >=, 1,                                                  \
       "aeth: YarnConfig::factor must be finite and at least 1; write 1 to switch YaRN off")               \
  RULE(c.rope.yarn.original_context, >, 0,                                                                 \
       "aeth: YarnConfig::original_context must be positive; it is the context before extension")          \
  RULE(detail::finite_or_zero(c.rope.yarn.beta_slow), >, 0,                                                \
       "aeth: YarnConfig::beta_slow must be positive and finite; it counts rotations")                     \
  RULE(detail::finite_or_zero(c.rope.yarn.beta_fast), >=, detail::finite_or_zero(c.rope.yarn.beta_slow),   \
       "aeth: YarnConfig::beta_fast must be finite and not below YarnConfig::beta_slow; the ramp runs "    \
       "between them")                                                                                     \
  RULE(detail::finite_or_negative(c.rope.yarn.mscale), >=, 0,                                              \
       "aeth: YarnConfig::mscale must be finite and not negative; DeepSeek uses 0.707 or 1")               \
  RULE(                                                                                                    \
      detail::finite_or_negative(c.rope.yarn.mscale_all_dim), >=, 0,                                       \
      "aeth: YarnConfig::mscale_all_dim must be finite and not negative; write 0 for no softmax correction")

/// RULE(left, comparison, right, sentence) for each rule of a MoeConfig c with experts.
#define AETH_MOE_RULES(RULE, c)                                                                              \
  RULE(c.experts, >, 0, "aeth: MoeConfig::experts must be positive in a layer with experts")                 \
  RULE(c.experts, <=, 1024, "aeth: MoeConfig::experts must not exceed 1024; routing has room for so many")   \
  RULE(c.shared, >=, 0, "aeth: MoeConfig::shared must not be negative; write 0 for no shared experts")       \
  RULE(c.hidden_dim, >, 0, "aeth: MoeConfig::hidden_dim must be positive; it is the width of one expert")    \
  RULE(detail::largest_of(c), <=, detail::largest_extent,                                                    \
       "aeth: MoeConfig has a size above 16777216; check it for a misplaced digit")                          \
  RULE(c.top_k, >, 0, "aeth: MoeConfig::top_k must be positive; each token needs at least one expert")       \
  RULE(c.top_k, <=, c.experts,                                                                               \
       "aeth: MoeConfig::top_k must not exceed MoeConfig::experts; each token picks distinct experts")       \
  RULE(c.groups, >, 0, "aeth: MoeConfig::groups must be positive; write 1 for no grouping")                  \
  RULE(detail::remainder(c.experts, c.groups), ==, 0,                                                        \
       "aeth: MoeConfig::groups must divide MoeConfig::experts; all groups have the same size")              \
  RULE(c.top_groups, >, 0, "aeth: MoeConfig::top_groups must be positive; write 1 for no grouping")          \
  RULE(c.top_groups, <=, c.groups,                                                                           \
       "aeth: MoeConfig::top_groups must not exceed MoeConfig::groups; each token keeps distinct groups")    \
  RULE(min(c.top_k, c.experts), <=, detail::reachable_experts(c),                                            \
       "aeth: MoeConfig::top_k must not exceed the experts of the kept groups; raise top_groups or lower "   \
       "top_k")                                                                                              \
  RULE(detail::scored_group_size(c), >=, 2,                                                                  \
       "aeth: MoeConfig::groups must leave two experts in each group; bias_corrected scores a group by its " \
       "two best")                                                                                           \
  RULE(detail::finite_or_zero(c.gate_scale), >, 0,                                                           \
       "aeth: MoeConfig::gate_scale must be positive and finite; write 1 for no scaling")                    \
  RULE(c.layer_stride, >, 0,                                                                                 \
       "aeth: MoeConfig::layer_stride must be positive; write 1 for experts in each layer")

/// RULE(left, comparison, right, sentence) for each rule of a ModelConfig c beyond those of its parts.
#define AETH_MODEL_RULES(RULE, c)                                                                            \
  RULE(c.vocab_size, >, 0, "aeth: ModelConfig::vocab_size must be positive; it is the number of tokens")     \
  RULE(c.dim, >, 0, "aeth: ModelConfig::dim must be positive; it is the width of the residual stream")       \
  RULE(c.layers, >, 0, "aeth: ModelConfig::layers must be positive; a model needs at least one layer")       \
  RULE(c.dense_layers, >=, 0, "aeth: ModelConfig::dense_layers must not be negative; write 0 for none")      \
  RULE(c.dense_layers, <=, c.layers,                                                                         \
       "aeth: ModelConfig::dense_layers must not exceed ModelConfig::layers; dense layers come first")       \
  RULE(c.ffn_dim, >=, 0,                                                                                     \
       "aeth: ModelConfig::ffn_dim must not be negative; write 0 if every layer has experts")                \
  RULE(                                                                                                      \
      detail::needed_ffn_dim(c), !=, 0,                                                                      \
      "aeth: ModelConfig::ffn_dim must be positive when a layer is dense; it is the width of the dense FFN") \
  RULE(c.max_context, >, 0, "aeth: ModelConfig::max_context must be positive; it is the longest sequence")   \
  RULE(detail::finite_or_zero(c.norm_eps), >, 0,                                                             \
       "aeth: ModelConfig::norm_eps must be positive and finite; it keeps the norms away from 1/0")          \
  RULE(detail::finite_or_zero(c.init_std), >, 0,                                                             \
       "aeth: ModelConfig::init_std must be positive and finite; equal weights would never grow apart")      \
  RULE(c.mtp_depth, >=, 0, "aeth: ModelConfig::mtp_depth must not be negative; write 0 for no MTP module")   \
  RULE(c.mtp_depth, <=, 8, "aeth: ModelConfig::mtp_depth must not exceed 8; DeepSeek-V3 uses 1")             \
  RULE(c.moe.experts, >=, 0, "aeth: MoeConfig::experts must not be negative; write 0 for a dense model")     \
  RULE(detail::largest_of(c), <=, detail::largest_extent,                                                    \
       "aeth: ModelConfig has a size above 16777216; check it for a misplaced digit")                        \
  RULE(detail::rough_parameters(c), <=, detail::largest_model,                                               \
       "aeth: ModelConfig describes more than 10^16 parameters; check its sizes for a misplaced digit")

#define AETH_REPORT_RULE(left, comparison, right, sentence) \
  if (!((left)comparison(right))) report(sentence, left, #comparison, right);

namespace aeth {

/// Calls report(sentence, left value, "op", right value) for each broken rule of an attention configuration.
template <class Report>
constexpr void for_each_violation(MlaConfig const& config, Report&& report) {
  AETH_MLA_RULES(AETH_REPORT_RULE, config)
}

/// The same for a mixture of experts that a layer has.
template <class Report>
constexpr void for_each_violation(MoeConfig const& config, Report&& report) {
  AETH_MOE_RULES(AETH_REPORT_RULE, config)
}

/// The same for a whole model; the rules of its experts count only if it has any.
template <class Report>
constexpr void for_each_violation(ModelConfig const& config, Report&& report) {
  AETH_MODEL_RULES(AETH_REPORT_RULE, config)
  for_each_violation(config.mla, report);
  if (config.moe.experts > 0) for_each_violation(config.moe, report);
}

/// Counts what for_each_violation reports.
struct ViolationCounter {
  int count = 0;
  template <class Left, class Right>
  constexpr void operator()(char const*, Left, char const*, Right) noexcept {
    ++count;
  }
};

/// Number of broken rules of an MlaConfig, MoeConfig or ModelConfig; usable in constant expressions.
template <class Config>
[[nodiscard]] constexpr int count_violations(Config const& config) {
  ViolationCounter counter;
  for_each_violation(config, counter);
  return counter.count;
}

}  // namespace aeth

#undef AETH_REPORT_RULE
