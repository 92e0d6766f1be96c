/// DeepSeek-V2 and its smaller and code-trained relatives.
///
/// source   DeepSeek-V2, arXiv:2405.04434, §3.1.2 and appendix B; DeepSeek-Coder-V2, arXiv:2406.11931, §3;
///          the config.json released with each model
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::presets {

/// 15.7 billion parameters, 2.4 billion of them active for a token. Queries are not compressed.
inline constexpr ModelConfig deepseek_v2_lite{
    .vocab_size = 102400,
    .dim = 2048,
    .layers = 27,
    .dense_layers = 1,
    .ffn_dim = 10944,
    .max_context = 163840,
    .norm_eps = 1e-6,
    .init_std = 0.006,
    .mla = {.heads = 16,
            .q_rank = 0,
            .kv_rank = 512,
            .nope_dim = 128,
            .rope_dim = 64,
            .v_dim = 128,
            .norm_eps = 1e-6,
            .rope = {.theta = 10000.0,
                     .yarn = {.factor = 40.0,
                              .original_context = 4096,
                              .beta_fast = 32.0,
                              .beta_slow = 1.0,
                              .mscale = 0.707,
                              .mscale_all_dim = 0.707}}},
    .moe = {.experts = 64,
            .shared = 2,
            .top_k = 6,
            .groups = 1,
            .top_groups = 1,
            .hidden_dim = 1408,
            .scoring = Scoring::softmax,
            .selection = Selection::greedy,
            .normalize_gates = false,
            .gate_scale = 1.0,
            .layer_stride = 1},
    .mtp_depth = 0,
};

/// The code model has the shape of V2-Lite; only the training differs.
inline constexpr ModelConfig deepseek_coder_v2_lite = deepseek_v2_lite;

/// 236 billion parameters, 21 billion active.
inline constexpr ModelConfig deepseek_v2{
    .vocab_size = 102400,
    .dim = 5120,
    .layers = 60,
    .dense_layers = 1,
    .ffn_dim = 12288,
    .max_context = 163840,
    .norm_eps = 1e-6,
    .init_std = 0.006,
    .mla = {.heads = 128,
            .q_rank = 1536,
            .kv_rank = 512,
            .nope_dim = 128,
            .rope_dim = 64,
            .v_dim = 128,
            .norm_eps = 1e-6,
            .rope = {.theta = 10000.0,
                     .yarn = {.factor = 40.0,
                              .original_context = 4096,
                              .beta_fast = 32.0,
                              .beta_slow = 1.0,
                              .mscale = 0.707,
                              .mscale_all_dim = 0.707}}},
    .moe = {.experts = 160,
            .shared = 2,
            .top_k = 6,
            .groups = 8,
            .top_groups = 3,
            .hidden_dim = 1536,
            .scoring = Scoring::softmax,
            .selection = Selection::group_limited,
            .normalize_gates = false,
            .gate_scale = 16.0,
            .layer_stride = 1},
    .mtp_depth = 0,
};

}  // namespace aeth::presets
