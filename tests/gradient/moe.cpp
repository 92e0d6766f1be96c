// Backward passes of the router, the experts and the whole mixture-of-experts layer against finite
// differences in double. Logits are of order 1 and the step is 2e-4, so no choice of experts changes.
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/nn/moe/moe.hpp"
#include "support/catch.hpp"
#include "support/layer_check.hpp"

namespace {

using namespace aeth;
using test::check_layer;
using test::random_tensor;
using test::Tensor;

constexpr MoeConfig rules(Scoring scoring, Selection selection, bool normalize, int top_k) {
  return {.experts = 12,
          .shared = 0,
          .top_k = top_k,
          .groups = selection == Selection::greedy ? 1 : 4,
          .top_groups = selection == Selection::greedy ? 1 : 2,
          .hidden_dim = 5,
          .scoring = scoring,
          .selection = selection,
          .normalize_gates = normalize,
          .gate_scale = 2.5};
}

/// Loss: Σ slope · gates + Σ slope' · scores, so that both ways into the router are used.
template <MoeConfig C>
void check_router(std::string const& what, Index tokens) {
  Cpu cpu(1);
  nn::Router<C, 7, Fp64, Cpu> layer;
  nn::RouterContext<Fp64> context;
  auto const score_slope = random_tensor<double>(tokens, C.experts, 60);
  Tensor<double> scores(tokens, C.experts);
  check_layer(
      what, cpu, layer, random_tensor<double>(tokens, 7, 61), C.top_k, 62,
      [&](auto x, auto gates, Arena& arena) {
        layer.reserve(arena, tokens, context);
        layer.forward(cpu, x, context, arena);
        std::copy_n(context.gates.data, tokens * C.top_k, gates.data);
        std::copy_n(context.scores.data, tokens * C.experts, scores.data());
        return test::inner(score_slope, scores);
      },
      [&](auto d_gates, auto x, auto dx, Arena& arena) {
        Tensor<double> d_scores = score_slope;
        for (Index i = 0; i < dx.rows * dx.cols; ++i) dx.data[i] = 3.0;  // this layer continues dx
        layer.backward(cpu, d_gates, d_scores.view(), x, dx, context, arena);
        for (Index i = 0; i < dx.rows * dx.cols; ++i) dx.data[i] -= 3.0;
      });
}

inline constexpr MoeConfig greedy = rules(Scoring::softmax, Selection::greedy, false, 3);
inline constexpr MoeConfig greedy_normalized = rules(Scoring::softmax, Selection::greedy, true, 3);
inline constexpr MoeConfig grouped = rules(Scoring::softmax, Selection::group_limited, false, 4);
inline constexpr MoeConfig grouped_normalized = rules(Scoring::softmax, Selection::group_limited, true, 4);
inline constexpr MoeConfig corrected = rules(Scoring::sigmoid, Selection::bias_corrected, false, 4);
inline constexpr MoeConfig corrected_normalized = rules(Scoring::sigmoid, Selection::bias_corrected, true, 4);
inline constexpr MoeConfig single = rules(Scoring::sigmoid, Selection::bias_corrected, true, 1);

inline constexpr MoeConfig v3{
    .experts = 6, .shared = 2, .top_k = 2, .groups = 3, .top_groups = 2, .hidden_dim = 5, .gate_scale = 2.5};
inline constexpr MoeConfig v2{.experts = 5,
                              .shared = 0,
                              .top_k = 3,
                              .hidden_dim = 4,
                              .scoring = Scoring::softmax,
                              .selection = Selection::greedy,
                              .normalize_gates = false,
                              .gate_scale = 1.5};

template <MoeConfig C>
void check_moe(std::string const& what, std::vector<Index> const& sequences, double balance_weight,
               std::uint64_t seed) {
  Cpu cpu(1);
  Index const tokens = sequences.back();
  nn::Moe<C, 7, Fp64, Cpu> layer;
  nn::MoeContext<Fp64> context;
  nn::BalanceTerm const balance{balance_weight, {sequences.data(), static_cast<Index>(sequences.size())}};
  std::vector<double> losses(sequences.size());
  check_layer(
      what, cpu, layer, random_tensor<double>(tokens, 7, seed), 7, seed,
      [&](auto x, auto y, Arena& arena) {
        layer.reserve(arena, tokens, context);
        layer.forward(cpu, x, y, context, arena);
        if (balance_weight == 0.0) return 0.0;
        ops::balance_loss(cpu, balance.sequences, context.router.scores, context.router.experts,
                          balance_weight, losses.data(), MatrixView<double>{});
        double sum = 0;
        for (std::size_t b = 0; b + 1 < sequences.size(); ++b) sum += losses[b];
        return sum;
      },
      [&](auto dy, auto x, auto dx, Arena& arena) {
        layer.backward(cpu, dy, x, dx, balance, losses.data(), context, arena);
      });
}

}  // namespace

TEST_CASE("gradient: routers of all rules") {
  for (Index const tokens : {1, 19}) {
    check_router<greedy>("router: softmax, greedy", tokens);
    check_router<greedy_normalized>("router: softmax, greedy, normalised", tokens);
    check_router<grouped>("router: softmax, groups", tokens);
    check_router<grouped_normalized>("router: softmax, groups, normalised", tokens);
    check_router<corrected>("router: sigmoid, bias", tokens);
    check_router<corrected_normalized>("router: sigmoid, bias, normalised", tokens);
    check_router<single>("router: sigmoid, bias, one expert", tokens);
  }
}

TEST_CASE("gradient: experts, one without tokens and one with all of them") {
  Cpu cpu(1);
  Index const tokens = 9;
  nn::Experts<v3, 7, Fp64, Cpu> layer;
  nn::FfnContext<Fp64> context;
  Tensor<std::int32_t> chosen(tokens, 2);
  for (Index t = 0; t < tokens; ++t) {
    chosen(t, 0) = 1;
    chosen(t, 1) = t < 4 ? 3 : 4 + static_cast<std::int32_t>(t % 2);
  }
  Arena fixed;
  nn::Dispatch dispatch;
  dispatch.reserve(fixed, tokens, 2, v3.experts);
  dispatch.assign(chosen.cview());
  REQUIRE(dispatch.load(0) == 0);
  REQUIRE(dispatch.load(2) == 0);
  REQUIRE(dispatch.load(1) == tokens);
  Index const rows = 2 * tokens;
  check_layer(
      "experts", cpu, layer, random_tensor<double>(rows, 7, 70), 7, 71,
      [&](auto x, auto y, Arena& arena) {
        layer.reserve(arena, rows, context);
        layer.forward(cpu, x, dispatch, y, context);
        return 0.0;
      },
      [&](auto dy, auto x, auto dx, Arena& arena) {
        layer.backward(cpu, dy, x, dispatch, dx, context, arena);
      });
}

TEST_CASE("gradient: mixture of experts with balance loss") {
  check_moe<v3>("MoE, V3", {0, 13}, 0.0, 80);
  check_moe<v3>("MoE, V3, balance loss", {0, 5, 6, 17}, 0.7, 81);
  check_moe<v3>("MoE, V3, one token", {0, 1}, 0.7, 82);
  check_moe<v2>("MoE, V2, balance loss", {0, 5, 5, 17}, 0.7, 83);
}
