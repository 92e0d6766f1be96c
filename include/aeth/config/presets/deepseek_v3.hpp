/// DeepSeek-V3 and R1, which has the same shape.
///
/// source   DeepSeek-V3, arXiv:2412.19437, §4.2; DeepSeek-R1, arXiv:2501.12948; the released config.json
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::presets {

/// 671 billion parameters, 37 billion active, and one MTP module of 11.6 billion.
inline constexpr ModelConfig deepseek_v3{
    .vocab_size = 129280,
    .dim = 7168,
    .layers = 61,
    .dense_layers = 3,
    .ffn_dim = 18432,
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
                              .mscale = 1.0,
                              .mscale_all_dim = 1.0}}},
    .moe = {.experts = 256,
            .shared = 1,
            .top_k = 8,
            .groups = 8,
            .top_groups = 4,
            .hidden_dim = 2048,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.5,
            .layer_stride = 1},
    .mtp_depth = 1,
    .mtp_input = MtpInput::post_norm,
};

/// The reasoning model: V3 trained further.
inline constexpr ModelConfig deepseek_r1 = deepseek_v3;

}  // namespace aeth::presets
