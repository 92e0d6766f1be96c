/// Printing: a configuration as the C++ that makes it, and its model card as a table.
#pragma once

#include <string>
#include <string_view>

#include "aeth/config/model_card.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/core/text.hpp"

namespace aeth {

[[nodiscard]] constexpr std::string_view name_of(Scoring scoring) noexcept {
  return scoring == Scoring::softmax ? "softmax" : "sigmoid";
}

[[nodiscard]] constexpr std::string_view name_of(Selection selection) noexcept {
  return selection == Selection::greedy          ? "greedy"
         : selection == Selection::group_limited ? "group_limited"
                                                 : "bias_corrected";
}

[[nodiscard]] constexpr std::string_view name_of(MtpInput input) noexcept {
  return input == MtpInput::post_norm ? "post_norm" : "pre_norm";
}

/// The configuration in designated-initialiser form, every field spelled out: what it prints compiles to an
/// equal value.
[[nodiscard]] inline std::string describe(ModelConfig const& c) {
  auto const& yarn = c.mla.rope.yarn;
  return text(
      "aeth::ModelConfig{\n", "    .vocab_size = ", c.vocab_size, ",\n    .dim = ", c.dim,
      ",\n    .layers = ", c.layers, ",\n    .dense_layers = ", c.dense_layers,
      ",\n    .ffn_dim = ", c.ffn_dim, ",\n    .max_context = ", c.max_context,
      ",\n    .norm_eps = ", c.norm_eps, ",\n    .init_std = ", c.init_std,
      ",\n    .mla = {.heads = ", c.mla.heads, ",\n            .q_rank = ", c.mla.q_rank,
      ",\n            .kv_rank = ", c.mla.kv_rank, ",\n            .nope_dim = ", c.mla.nope_dim,
      ",\n            .rope_dim = ", c.mla.rope_dim, ",\n            .v_dim = ", c.mla.v_dim,
      ",\n            .norm_eps = ", c.mla.norm_eps, ",\n            .rope = {.theta = ", c.mla.rope.theta,
      ",\n                     .yarn = {.factor = ", yarn.factor,
      ",\n                              .original_context = ", yarn.original_context,
      ",\n                              .beta_fast = ", yarn.beta_fast,
      ",\n                              .beta_slow = ", yarn.beta_slow,
      ",\n                              .mscale = ", yarn.mscale,
      ",\n                              .mscale_all_dim = ", yarn.mscale_all_dim,
      "}}},\n    .moe = {.experts = ", c.moe.experts, ",\n            .shared = ", c.moe.shared,
      ",\n            .top_k = ", c.moe.top_k, ",\n            .groups = ", c.moe.groups,
      ",\n            .top_groups = ", c.moe.top_groups, ",\n            .hidden_dim = ", c.moe.hidden_dim,
      ",\n            .scoring = aeth::Scoring::", name_of(c.moe.scoring),
      ",\n            .selection = aeth::Selection::", name_of(c.moe.selection),
      ",\n            .normalize_gates = ", c.moe.normalize_gates,
      ",\n            .gate_scale = ", c.moe.gate_scale,
      ",\n            .layer_stride = ", c.moe.layer_stride, "},\n    .mtp_depth = ", c.mtp_depth,
      ",\n    .mtp_input = aeth::MtpInput::", name_of(c.mtp_input), ",\n}");
}

/// A whole number with thousands separated: 671,026,419,200.
[[nodiscard]] inline std::string grouped(Index n) {
  std::string out = text(n);
  std::size_t const first = n < 0 ? 1 : 0;
  for (std::size_t place = out.size(); place > first + 3;) out.insert(place -= 3, 1, ',');
  return out;
}

/// A size with a binary unit: "68.6 KiB".
[[nodiscard]] inline std::string bytes_text(double bytes) {
  constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  for (; bytes >= 1024.0 && unit < 5; ++unit) bytes /= 1024.0;
  return text(fixed(bytes, unit == 0 ? 0 : 1), ' ', units[unit]);
}

/// A number of operations with a decimal unit: "56.2 MFLOP".
[[nodiscard]] inline std::string flops_text(double flops) {
  constexpr std::string_view units[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"};
  int unit = 0;
  for (; flops >= 1000.0 && unit < 5; ++unit) flops /= 1000.0;
  return text(fixed(flops, unit == 0 ? 0 : 1), ' ', units[unit]);
}

namespace detail {

[[nodiscard]] inline std::string padded(std::string_view cell, std::size_t width, bool right) {
  std::string const space(width > cell.size() ? width - cell.size() : 0, ' ');
  return right ? space + std::string(cell) : std::string(cell) + space;
}

/// One row: what, total, per token.
[[nodiscard]] inline std::string card_row(std::string_view what, std::string_view total,
                                          std::string_view active) {
  return padded(what, 26, false) + padded(total, 22, true) +
         (active.empty() ? "" : padded(active, 20, true)) + '\n';
}

}  // namespace detail

/// Parameters, FLOPs and memory of a valid configuration as an aligned table, for `context` tokens of
/// context.
[[nodiscard]] inline std::string card_table(ModelConfig const& c, int context) {
  auto const all = count_parameters(c);
  auto const active = count_activated(c);
  auto const row = [](std::string_view what, Index total, Index used) {
    return detail::card_row(what, grouped(total), grouped(used));
  };
  auto const line = [](std::string_view what, std::string const& value) {
    return detail::card_row(what, value, "");
  };
  std::string out = detail::card_row("parameters", "all", "used by a token");
  out += row("  embedding", all.embedding, active.embedding);
  out += row("  attention", all.attention, active.attention);
  out += row("  dense FFN", all.dense_ffn, active.dense_ffn);
  out += row("  router", all.router, active.router);
  out += row("  routed experts", all.experts, active.experts);
  out += row("  shared experts", all.shared, active.shared);
  out += row("  norms", all.norms, active.norms);
  out += row("  head", all.head, active.head);
  out += row("  main model", all.total(), active.total());
  out += row("  without input embedding", all.total() - all.embedding, active.total() - active.embedding);
  if (c.mtp_depth > 0)
    out += line(text("  MTP modules (", c.mtp_depth, ")"), grouped(c.mtp_depth * mtp_module_parameters(c)));
  out += text("work per token, context ", context, '\n');
  out += line("  forward, last token", flops_text(forward_flops_per_token(c, context)));
  out += line("  training, average", flops_text(training_flops_per_token(c, context)));
  out += "cache per token, 16-bit\n";
  out += line("  latent (MLA)", bytes_text(static_cast<double>(mla_cache_bytes_per_token(c, 2))));
  out += line("  keys and values expanded",
              bytes_text(static_cast<double>(expanded_cache_bytes_per_token(c, 2))));
  out += line("  full context, latent",
              bytes_text(static_cast<double>(mla_cache_bytes_per_token(c, 2)) * context));
  out += "training state, without activations\n";
  out +=
      line("  32-bit throughout", bytes_text(static_cast<double>(training_state_bytes(c, {4, 4, 4, 4, 0}))));
  out += line("  DeepSeek-V3's widths", bytes_text(static_cast<double>(training_state_bytes(c, {}))));
  return out;
}

}  // namespace aeth
