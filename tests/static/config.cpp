// Configurations are structural values, compared by their fields; presets obey the rules. Compiling is
// passing.
#include <limits>
#include <type_traits>

#include "aeth/config/presets.hpp"
#include "aeth/config/recipe.hpp"
#include "aeth/config/validate.hpp"

namespace aeth {

// structural: a template argument, and equal values make the same type
template <ModelConfig C>
struct Holder {};
template <MlaConfig C>
struct MlaHolder {};
template <MoeConfig C>
struct MoeHolder {};

inline constexpr ModelConfig copy = with(presets::tiny, [](ModelConfig& c) { c.layers = 3; });
inline constexpr ModelConfig deeper = with(presets::tiny, [](ModelConfig& c) { c.layers = 4; });
static_assert(std::is_same_v<Holder<copy>, Holder<presets::tiny>>);
static_assert(!std::is_same_v<Holder<deeper>, Holder<presets::tiny>>);
static_assert(
    std::is_same_v<MlaHolder<deeper.mla>, MlaHolder<presets::tiny.mla>>);  // narrowing: same attention
static_assert(std::is_same_v<MoeHolder<deeper.moe>, MoeHolder<presets::tiny.moe>>);
static_assert(std::is_trivially_copyable_v<ModelConfig>);
static_assert(std::is_aggregate_v<ModelConfig>);

// equality
static_assert(copy == presets::tiny);
static_assert(deeper != presets::tiny);
static_assert(presets::deepseek_r1 == presets::deepseek_v3);
static_assert(presets::deepseek_coder_v2_lite == presets::deepseek_v2_lite);
static_assert(presets::deepseek_v2 != presets::deepseek_v2_lite);

// presets obey every rule
static_assert(validate_model<presets::deepseek_v2_lite>());
static_assert(validate_model<presets::deepseek_v2>());
static_assert(validate_model<presets::deepseek_v3>());
static_assert(validate_model<presets::moonlight_16b_a3b>());
static_assert(validate_model<presets::kimi_k2>());
static_assert(validate_model<presets::tiny>());
static_assert(validate_model<presets::micro>());
static_assert(validate_model<presets::mini>());
static_assert(validate_model<presets::medium>());
static_assert(validate_mla<presets::tiny.mla>());
static_assert(validate_moe<presets::tiny.moe>());

// the number of broken rules is a constant expression too
template <class Change>
constexpr int broken(Change change) {
  return count_violations(with(presets::tiny, change));
}
static_assert(count_violations(presets::tiny) == 0);
static_assert(count_violations(ModelConfig{}) == 9);
static_assert(count_violations(MoeConfig{}) == 3);

// allowed: no experts (with MTP on a dense block), all layers with experts, no dense width then
static_assert(broken([](ModelConfig& c) { c.moe = MoeConfig{}; }) == 0);
static_assert(broken([](ModelConfig& c) { c.dense_layers = 0, c.ffn_dim = 0; }) == 0);
static_assert(broken([](ModelConfig& c) { c.moe.experts = 0, c.moe.top_k = 99; }) == 0);
static_assert(broken([](ModelConfig& c) { c.moe.scoring = Scoring::softmax; }) == 0);
static_assert(broken([](ModelConfig& c) { c.mla.q_rank = 0, c.moe.shared = 0, c.mtp_depth = 0; }) == 0);
static_assert(broken([](ModelConfig& c) {  // greedy looks at no group
                c.moe.selection = Selection::greedy;
                c.moe.top_k = 8;
              }) == 0);
static_assert(broken([](ModelConfig& c) {  // the best expert alone scores a group
                c.moe.selection = Selection::group_limited;
                c.moe.groups = 8;
              }) == 0);

// refused: numbers that are not finite
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
static_assert(broken([](ModelConfig& c) { c.norm_eps = nan; }) == 1);
static_assert(broken([](ModelConfig& c) { c.norm_eps = infinity; }) == 1);
static_assert(broken([](ModelConfig& c) { c.mla.rope.theta = infinity; }) == 1);
static_assert(broken([](ModelConfig& c) { c.mla.rope.yarn.mscale = nan; }) == 1);
static_assert(broken([](ModelConfig& c) { c.mla.rope.yarn.beta_fast = nan; }) == 1);
static_assert(broken([](ModelConfig& c) { c.moe.gate_scale = -infinity; }) == 1);

// refused: a dense layer without width, wherever it comes from
static_assert(broken([](ModelConfig& c) { c.ffn_dim = 0; }) == 1);
static_assert(broken([](ModelConfig& c) { c.ffn_dim = 0, c.dense_layers = 0, c.moe.layer_stride = 2; }) == 1);
static_assert(broken([](ModelConfig& c) { c.ffn_dim = 0, c.dense_layers = 0, c.moe = MoeConfig{}; }) == 1);

// refused without overflow: the largest integers everywhere
constexpr int huge = std::numeric_limits<int>::max();
static_assert(broken([](ModelConfig& c) {
                c.vocab_size = c.dim = c.layers = c.ffn_dim = c.mla.heads = c.mla.nope_dim = c.mla.v_dim =
                    huge;
                c.moe.experts = c.moe.shared = c.moe.hidden_dim = c.moe.top_k = c.moe.top_groups = huge;
              }) >= 4);

// recipes: the stages last as long as the run
constexpr bool stages_fill(PretrainingRecipe const& recipe) {
  double sum = 0.0;
  for (auto const& stage : recipe.stages) sum += stage.tokens;
  return sum > recipe.tokens * 0.9999 && sum < recipe.tokens * 1.0001;
}
static_assert(stages_fill(presets::deepseek_v2_lite_recipe));
static_assert(stages_fill(presets::deepseek_v2_recipe));
static_assert(stages_fill(presets::deepseek_v3_recipe));
static_assert(presets::deepseek_v3_recipe.mtp_weight.at(9.9e12) == 0.3);
static_assert(presets::deepseek_v3_recipe.mtp_weight.at(10e12) == 0.1);
static_assert(presets::deepseek_v3_recipe.bias_speed.at(14.5e12) == 0.0);

}  // namespace aeth
