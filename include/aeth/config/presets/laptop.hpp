/// Models of the V3 kind that train on one laptop. The sizes are this library's own choice.
///
/// Two values differ from the papers on purpose. `init_std` is 0.02: the papers' 0.006 suits widths of 2048
/// and more. `gate_scale` is about sqrt(top_k): the sum of top_k independent experts, each weighted 1/top_k,
/// then has the size of one expert.
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::presets {

/// For tests: seconds to train, yet every part of V3 is there (compressed queries, groups, a shared expert,
/// MTP).
inline constexpr ModelConfig tiny{
    .vocab_size = 512,
    .dim = 64,
    .layers = 3,
    .dense_layers = 1,
    .ffn_dim = 128,
    .max_context = 256,
    .norm_eps = 1e-6,
    .init_std = 0.02,
    .mla = {.heads = 4,
            .q_rank = 32,
            .kv_rank = 24,
            .nope_dim = 16,
            .rope_dim = 8,
            .v_dim = 12,  // unlike nope_dim, so that a forgotten transpose shows
            .norm_eps = 1e-6,
            .rope = {.theta = 10000.0, .yarn = {}}},
    .moe = {.experts = 8,
            .shared = 1,
            .top_k = 2,
            .groups = 4,
            .top_groups = 2,
            .hidden_dim = 32,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 1.4,
            .layer_stride = 1},
    .mtp_depth = 1,
};

/// For the demonstration: 2.3 million parameters, minutes to train on two cores. Four layers, eight experts
/// of which two are chosen, and a vocabulary small enough that the head does not outweigh the layers.
inline constexpr ModelConfig micro{
    .vocab_size = 2048,
    .dim = 128,
    .layers = 4,
    .dense_layers = 1,
    .ffn_dim = 384,
    .max_context = 1024,
    .norm_eps = 1e-6,
    .init_std = 0.02,
    .mla = {.heads = 4,
            .q_rank = 0,
            .kv_rank = 64,
            .nope_dim = 16,
            .rope_dim = 16,
            .v_dim = 32,
            .norm_eps = 1e-6,
            .rope = {.theta = 10000.0, .yarn = {}}},
    .moe = {.experts = 8,
            .shared = 1,
            .top_k = 2,
            .groups = 1,
            .top_groups = 1,
            .hidden_dim = 96,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 1.4,
            .layer_stride = 1},
    .mtp_depth = 1,
};

/// 14 million parameters with MTP, 6 million active: an hour on two cores.
inline constexpr ModelConfig mini{
    .vocab_size = 4096,
    .dim = 256,
    .layers = 6,
    .dense_layers = 1,
    .ffn_dim = 768,
    .max_context = 1024,
    .norm_eps = 1e-6,
    .init_std = 0.02,
    .mla = {.heads = 8,
            .q_rank = 96,
            .kv_rank = 64,
            .nope_dim = 32,
            .rope_dim = 16,
            .v_dim = 32,
            .norm_eps = 1e-6,
            .rope = {.theta = 10000.0, .yarn = {}}},
    .moe = {.experts = 16,
            .shared = 1,
            .top_k = 4,
            .groups = 1,
            .top_groups = 1,
            .hidden_dim = 128,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.0,
            .layer_stride = 1},
    .mtp_depth = 1,
};

/// For a night on one machine: 171 million parameters, 50 million active.
inline constexpr ModelConfig medium{
    .vocab_size = 16384,
    .dim = 512,
    .layers = 12,
    .dense_layers = 1,
    .ffn_dim = 1536,
    .max_context = 2048,
    .norm_eps = 1e-6,
    .init_std = 0.02,
    .mla = {.heads = 8,
            .q_rank = 192,
            .kv_rank = 128,
            .nope_dim = 64,
            .rope_dim = 32,
            .v_dim = 64,
            .norm_eps = 1e-6,
            .rope = {.theta = 10000.0, .yarn = {}}},
    .moe = {.experts = 32,
            .shared = 1,
            .top_k = 4,
            .groups = 1,
            .top_groups = 1,
            .hidden_dim = 256,
            .scoring = Scoring::sigmoid,
            .selection = Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.0,
            .layer_stride = 1},
    .mtp_depth = 1,
};

}  // namespace aeth::presets
