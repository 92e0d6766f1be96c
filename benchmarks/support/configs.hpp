/// The configurations that are measured beside the presets.
#pragma once

#include "aeth/config/model_config.hpp"
#include "aeth/config/presets.hpp"

namespace bench {

/// mini as V2 would have it: softmax scores without bias, full-rank queries, two shared experts, no MTP.
inline constexpr aeth::ModelConfig mini_v2 = aeth::with(aeth::presets::mini, [](aeth::ModelConfig& c) {
  c.mla.q_rank = 0;
  c.moe.scoring = aeth::Scoring::softmax;
  c.moe.selection = aeth::Selection::greedy;
  c.moe.normalize_gates = false;
  c.moe.gate_scale = 1.0;
  c.moe.shared = 2;
  c.mtp_depth = 0;
});

/// mini without MTP, which peers do not train and GGUF files do not have.
inline constexpr aeth::ModelConfig mini_alone =
    aeth::with(aeth::presets::mini, [](aeth::ModelConfig& c) { c.mtp_depth = 0; });

/// Between mini and peer_model: V3's parts, 93 million parameters of which 27 million are active.
inline constexpr aeth::ModelConfig middle_model{
    .vocab_size = 16384,
    .dim = 512,
    .layers = 8,
    .dense_layers = 1,
    .ffn_dim = 1536,
    .max_context = 2048,
    .norm_eps = 1e-6,
    .init_std = 0.02,
    .mla = {.heads = 8, .q_rank = 192, .kv_rank = 128, .nope_dim = 64, .rope_dim = 32, .v_dim = 64},
    .moe = {.experts = 32,
            .shared = 1,
            .top_k = 4,
            .groups = 4,
            .top_groups = 2,
            .hidden_dim = 192,
            .scoring = aeth::Scoring::sigmoid,
            .selection = aeth::Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.0,
            .layer_stride = 1},
};

/// A model of 0.7 billion parameters with DeepSeek-V3's head geometry: the shape in which other engines were
/// measured.
inline constexpr aeth::ModelConfig peer_model{
    .vocab_size = 32000,
    .dim = 1024,
    .layers = 12,
    .dense_layers = 1,
    .ffn_dim = 2752,
    .max_context = 16640,  // room for the deepest cache that is measured
    .norm_eps = 1e-6,
    .init_std = 0.02,
    .mla = {.heads = 16, .q_rank = 384, .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .v_dim = 128},
    .moe = {.experts = 32,
            .shared = 1,
            .top_k = 4,
            .groups = 4,
            .top_groups = 2,
            .hidden_dim = 512,
            .scoring = aeth::Scoring::sigmoid,
            .selection = aeth::Selection::bias_corrected,
            .normalize_gates = true,
            .gate_scale = 2.5,
            .layer_stride = 1},
};

/// The same with heads of half that size. Engines whose kernels are made for V3's own geometry refuse it.
inline constexpr aeth::ModelConfig peer_model_a = aeth::with(peer_model, [](aeth::ModelConfig& c) {
  c.mla.kv_rank = 256;
  c.mla.nope_dim = 64;
  c.mla.rope_dim = 32;
  c.mla.v_dim = 64;
});

/// As much of peer_model as trains in 5 GB: one dense layer, two with experts.
inline constexpr aeth::ModelConfig peer_model_3_layers =
    aeth::with(peer_model, [](aeth::ModelConfig& c) { c.layers = 3; });

}  // namespace bench
