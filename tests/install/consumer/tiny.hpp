#pragma once

#include <aeth/config/model_config.hpp>

inline constexpr aeth::ModelConfig tiny{
    .vocab_size = 4096,
    .dim = 256,
    .layers = 4,
    .dense_layers = 1,
    .ffn_dim = 512,
    .mla = {.heads = 8, .q_rank = 96, .kv_rank = 64, .nope_dim = 32, .rope_dim = 16, .v_dim = 32},
    .moe = {.experts = 16, .shared = 1, .top_k = 4, .groups = 4, .top_groups = 2, .hidden_dim = 128},
    .mtp_depth = 1,
};

int dim_seen_elsewhere();
