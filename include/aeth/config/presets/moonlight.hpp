/// Moonlight-16B-A3B: the V3 architecture at the size of V2-Lite, without YaRN.
///
/// source   Moonlight, arXiv:2502.16982; the released config.json
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::presets {

/// 16 billion parameters, 2.9 billion active.
inline constexpr ModelConfig moonlight_16b_a3b{
    .vocab_size = 163840,
    .dim = 2048,
    .layers = 27,
    .dense_layers = 1,
    .ffn_dim = 11264,
    .max_context = 8192,
    .norm_eps = 1e-5,  // the latent norms keep 1e-6
    .init_std = 0.02,
    .mla = {.heads = 16,
            .q_rank = 0,
            .kv_rank = 512,
            .nope_dim = 128,
            .rope_dim = 64,
            .v_dim = 128,
            .norm_eps = 1e-6,
            .rope = {.theta = 50000.0, .yarn = {}}},
    .moe = {.experts = 64,
            .shared = 2,
            .top_k = 6,
            .groups = 1,
            .top_groups = 1,
            .hidden_dim = 1408,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.446,
            .layer_stride = 1},
    .mtp_depth = 0,
};

}  // namespace aeth::presets
