/// The configurations of tests/golden/data, one per folder.
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::test {

inline constexpr ModelConfig v3_tiny{
    .vocab_size = 96,
    .dim = 32,
    .layers = 3,
    .dense_layers = 1,
    .ffn_dim = 64,
    .max_context = 128,
    .mla = {.heads = 4, .q_rank = 24, .kv_rank = 16, .nope_dim = 16, .rope_dim = 8, .v_dim = 16},
    .moe = {.experts = 16,
            .shared = 1,
            .top_k = 4,
            .groups = 4,
            .top_groups = 2,
            .hidden_dim = 16,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.5},
};

inline constexpr ModelConfig v3_mtp_tiny = with(v3_tiny, [](ModelConfig& c) { c.mtp_depth = 1; });

inline constexpr ModelConfig v3_yarn_tiny = with(v3_tiny, [](ModelConfig& c) {
  c.mla.rope.yarn = {.factor = 4.0, .original_context = 32, .mscale = 1.0, .mscale_all_dim = 1.0};
});

inline constexpr ModelConfig v2_yarn_tiny = with(v3_tiny, [](ModelConfig& c) {
  c.moe.shared = 2;
  c.moe.scoring = Scoring::softmax;
  c.moe.selection = Selection::group_limited;
  c.moe.normalize_gates = false;
  c.moe.gate_scale = 16.0;
  c.mla.rope.yarn = {.factor = 4.0, .original_context = 32, .mscale = 0.707, .mscale_all_dim = 0.707};
});

inline constexpr ModelConfig v2_lite_tiny = with(v3_tiny, [](ModelConfig& c) {
  c.mla.q_rank = 0;
  c.moe = {.experts = 8,
           .shared = 2,
           .top_k = 3,
           .groups = 1,
           .top_groups = 1,
           .hidden_dim = 16,
           .scoring = Scoring::softmax,
           .selection = Selection::greedy,
           .normalize_gates = false,
           .gate_scale = 1.0};
});

inline constexpr ModelConfig v3_edge{
    .vocab_size = 100,
    .dim = 40,
    .layers = 3,
    .dense_layers = 1,
    .ffn_dim = 72,
    .max_context = 160,
    .mla = {.heads = 3,
            .q_rank = 36,
            .kv_rank = 28,
            .nope_dim = 24,
            .rope_dim = 32,
            .v_dim = 20,
            .rope = {.yarn = {.factor = 8.0,
                              .original_context = 40,
                              .beta_fast = 4.0,
                              .mscale = 1.0,
                              .mscale_all_dim = 1.0}}},
    .moe = {.experts = 12,
            .shared = 2,
            .top_k = 3,
            .groups = 4,
            .top_groups = 2,
            .hidden_dim = 12,
            .gate_scale = 2.5},
};

}  // namespace aeth::test
