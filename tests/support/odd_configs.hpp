/// Configurations whose every size is odd or prime, so that no loop ends on a full register.
#pragma once

#include "aeth/config/model_config.hpp"

namespace aeth::test {

/// V3 rules, two MTP modules that read the state before the final norm.
inline constexpr ModelConfig odd_v3{
    .vocab_size = 61,
    .dim = 23,
    .layers = 3,
    .dense_layers = 1,
    .ffn_dim = 19,
    .max_context = 64,
    .mla = {.heads = 3, .q_rank = 7, .kv_rank = 9, .nope_dim = 5, .rope_dim = 6, .v_dim = 7},
    .moe = {.experts = 9,
            .shared = 1,
            .top_k = 3,
            .groups = 3,
            .top_groups = 2,
            .hidden_dim = 11,
            .gate_scale = 2.5},
    .mtp_depth = 2,
    .mtp_input = MtpInput::pre_norm,
};

/// V2 rules: softmax, groups by their best expert, gates as they are; YaRN; no MTP, no shared experts.
inline constexpr ModelConfig odd_v2 = with(odd_v3, [](ModelConfig& c) {
  c.mla.q_rank = 0;
  c.mla.rope.yarn = {.factor = 4.0, .original_context = 16, .mscale = 0.707, .mscale_all_dim = 1.0};
  c.moe.shared = 0;
  c.moe.scoring = Scoring::softmax;
  c.moe.selection = Selection::group_limited;
  c.moe.normalize_gates = false;
  c.moe.gate_scale = 1.5;
  c.mtp_depth = 0;
});

}  // namespace aeth::test
