/// Kimi-K2: the V3 architecture with more experts, fewer heads and no groups.
///
/// source   the released config.json of the first release (context 131072, YaRN factor 32)
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::presets {

/// 1.03 trillion parameters, 33 billion active.
inline constexpr ModelConfig kimi_k2{
    .vocab_size = 163840,
    .dim = 7168,
    .layers = 61,
    .dense_layers = 1,
    .ffn_dim = 18432,
    .max_context = 131072,
    .norm_eps = 1e-6,
    .init_std = 0.02,
    .mla = {.heads = 64,
            .q_rank = 1536,
            .kv_rank = 512,
            .nope_dim = 128,
            .rope_dim = 64,
            .v_dim = 128,
            .norm_eps = 1e-6,
            .rope = {.theta = 50000.0,
                     .yarn = {.factor = 32.0,
                              .original_context = 4096,
                              .beta_fast = 1.0,
                              .beta_slow = 1.0,
                              .mscale = 1.0,
                              .mscale_all_dim = 1.0}}},
    .moe = {.experts = 384,
            .shared = 1,
            .top_k = 8,
            .groups = 1,
            .top_groups = 1,
            .hidden_dim = 2048,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.827,
            .layer_stride = 1},
    .mtp_depth = 0,
};

}  // namespace aeth::presets
