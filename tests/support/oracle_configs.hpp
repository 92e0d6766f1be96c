/// Small configurations that other engines are compared on: both families, every router, YaRN, MTP, odd sizes.
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::test {

inline constexpr ModelConfig oracle_v3{
    .vocab_size = 61,
    .dim = 24,
    .layers = 2,
    .dense_layers = 1,
    .ffn_dim = 32,
    .max_context = 64,
    .init_std = 0.2,
    .mla = {.heads = 2, .q_rank = 12, .kv_rank = 8, .nope_dim = 8, .rope_dim = 4, .v_dim = 8},
    .moe = {.experts = 8,
            .shared = 1,
            .top_k = 3,
            .groups = 4,
            .top_groups = 2,
            .hidden_dim = 8,
            .gate_scale = 2.5},
};
inline constexpr ModelConfig oracle_v3_mtp = with(oracle_v3, [](ModelConfig& c) { c.mtp_depth = 1; });
inline constexpr ModelConfig oracle_v3_yarn = with(oracle_v3, [](ModelConfig& c) {
  c.mla.rope_dim = 8;
  c.mla.rope.yarn = {
      .factor = 8.0, .original_context = 8, .beta_fast = 2.0, .mscale = 1.0, .mscale_all_dim = 0.7};
});
/// Everything odd, and nothing twice the same.
inline constexpr ModelConfig oracle_v3_odd = with(oracle_v3, [](ModelConfig& c) {
  c.dim = 27;
  c.layers = 3;
  c.ffn_dim = 17;
  c.norm_eps = 1e-5;
  c.mla = {.heads = 3,
           .q_rank = 13,
           .kv_rank = 11,
           .nope_dim = 9,
           .rope_dim = 6,
           .v_dim = 7,
           .rope = {.theta = 500.0}};
  c.moe = {.experts = 9,
           .shared = 2,
           .top_k = 4,
           .groups = 3,
           .top_groups = 2,
           .hidden_dim = 5,
           .normalize_gates = false,
           .gate_scale = 1.7};
});
inline constexpr ModelConfig oracle_v2_lite = with(oracle_v3, [](ModelConfig& c) {
  c.mla.q_rank = 0;
  c.moe = {.experts = 6,
           .shared = 2,
           .top_k = 2,
           .hidden_dim = 8,
           .scoring = Scoring::softmax,
           .selection = Selection::greedy,
           .normalize_gates = false};
});
inline constexpr ModelConfig oracle_v2_yarn = with(oracle_v3_yarn, [](ModelConfig& c) {
  c.mla.rope.yarn.mscale = c.mla.rope.yarn.mscale_all_dim = 0.707;
  c.moe.scoring = Scoring::softmax;
  c.moe.selection = Selection::group_limited;
  c.moe.normalize_gates = false;
  c.moe.gate_scale = 16.0;
});
/// Transformers views pairs of V2 as complex numbers, so widths before them are even there.
inline constexpr ModelConfig oracle_v2_odd = with(oracle_v2_lite, [](ModelConfig& c) {
  c.dim = 25;
  c.mla = {.heads = 5, .q_rank = 7, .kv_rank = 10, .nope_dim = 6, .rope_dim = 2, .v_dim = 5};
  c.moe.experts = 7;
  c.moe.hidden_dim = 3;
});
inline constexpr ModelConfig oracle_dense = with(oracle_v3, [](ModelConfig& c) {
  c.dense_layers = c.layers;
  c.moe = {};
});

/// Calls visit.template operator()<config>(name) for each.
template <class Visit>
void for_each_oracle_config(Visit&& visit) {
  visit.template operator()<oracle_v3>("v3");
  visit.template operator()<oracle_v3_mtp>("v3_mtp");
  visit.template operator()<oracle_v3_yarn>("v3_yarn");
  visit.template operator()<oracle_v3_odd>("v3_odd");
  visit.template operator()<oracle_v2_lite>("v2_lite");
  visit.template operator()<oracle_v2_yarn>("v2_yarn");
  visit.template operator()<oracle_v2_odd>("v2_odd");
  visit.template operator()<oracle_dense>("dense");
}

}  // namespace aeth::test
