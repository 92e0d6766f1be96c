/// The memory of a training step, predicted from the configuration: weights and what belongs to them, the
/// activations of a micro-batch, the backend's scratch.
///
/// Activations are counted as the contexts of `nn/` and the pass of `model/` take them from an arena, one by one;
/// tests/unit/config/training_memory_test.cpp compares the bytes with an arena's own. Not counted are the text and the
/// program. docs/explanation/training_memory.md has measurements beside predictions.
///
/// legend   T tokens of a micro-batch · D width · H heads · Q query rank · C latent rank · N, R, U head sizes
///          E experts · K per token · F expert width · V vocabulary · L layers
#pragma once

#include "aeth/config/detail/training_takes.hpp"
#include "aeth/config/layer_counts.hpp"
#include "aeth/config/model_card.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/training_types.hpp"
#include "aeth/core/arena_plan.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// Bytes of a training run, by their place.
struct TrainingMemory {
  Index weights = 0;
  Index packed = 0;  ///< for forward and for backward
  Index gradients = 0;
  Index moments = 0;
  Index activations = 0;  ///< of forward, loss and backward
  Index scratch = 0;      ///< of the backend: copies of operands, and attention's in each thread

  [[nodiscard]] constexpr Index total() const noexcept {
    return weights + packed + gradients + moments + activations + scratch;
  }

  friend constexpr bool operator==(TrainingMemory const&, TrainingMemory const&) = default;
};

namespace detail {

/// Every matrix that products read but the routers: visit(out, in, copies, wide), layer by layer; those of head and MTP's
/// projection are of the wider type.
template <class Visit>
constexpr void for_each_matrix(ModelConfig const& c, Visit const& visit) noexcept {
  Index const width = c.dim, heads = c.mla.heads;
  auto const block = [&](Index count, bool has_experts) {
    MlaConfig const& m = c.mla;
    auto const matrix = [&](Index out, Index in, Index copies) { visit(out, in, copies, false); };
    if (m.q_rank > 0) matrix(Index{m.q_rank}, width, count);
    matrix(heads * m.qk_dim(), m.q_rank > 0 ? Index{m.q_rank} : width, count);
    matrix(Index{m.kv_rank} + m.rope_dim, width, count);
    matrix(heads * (m.nope_dim + m.v_dim), Index{m.kv_rank}, count);
    matrix(width, heads * m.v_dim, count);
    auto const ffn = [&](Index hidden, Index copies) {
      matrix(2 * hidden, width, copies);
      matrix(width, hidden, copies);
    };
    if (!has_experts) return ffn(c.ffn_dim, count);
    ffn(c.moe.hidden_dim, count * c.moe.experts);
    if (c.moe.shared > 0) ffn(Index{c.moe.shared} * c.moe.hidden_dim, count);
  };
  block(dense_ffn_layers(c), false);
  block(moe_layers(c), true);
  visit(Index{c.vocab_size}, width, 1, true);
  if (c.mtp_depth == 0) return;
  visit(width, 2 * width, c.mtp_depth, true);
  block(c.mtp_depth, c.moe.experts > 0);
}

/// Bytes of the packed copies: rows in sixteens, the router's in its own type. Attention's key and value matrices are
/// there once more, head by head.
[[nodiscard]] constexpr Index packed_bytes(ModelConfig const& c, TrainingTypes const& types) noexcept {
  auto const size = [](Index out, Index in, Index group) {
    return round_up(out, Index{16}) * round_up(in, group);
  };
  // Codes in panels of 64 columns, then a scale for each of them and 128 of `in` (backend/cpu/matmul_f8.hpp).
  auto const f8_bytes = [](Index out, Index in) {
    return round_up(round_up(out, Index{32}) * round_up(in, Index{2}), Index{64}) +
           round_up(ceil_div(out, Index{64}) * ceil_div(in, Index{128}) * 4, Index{64});
  };
  Index const layers = Index{c.layers} + c.mtp_depth, group = types.packed_group;
  Index total = layers * c.mla.heads *
                (size(c.mla.v_dim, c.mla.kv_rank, group) + size(c.mla.kv_rank, c.mla.nope_dim, group)) *
                types.packed;
  for_each_matrix(c, [&](Index out, Index in, Index copies, bool wide) {
    total += copies * (types.f8 && !wide ? f8_bytes(out, in) + f8_bytes(in, out)
                                         : (size(out, in, group) + size(in, out, group)) * types.packed);
  });
  Index const router = size(c.moe.experts, c.dim, 1) + size(c.dim, c.moe.experts, 1);
  return total + (moe_layers(c) + (c.moe.experts > 0 ? c.mtp_depth : 0)) * router * types.exact;
}

/// What `Cpu` reserves in each thread for attention over rows of `length` tokens (backend/cpu/attention.hpp), one
/// mebibyte at least.
[[nodiscard]] constexpr Index thread_scratch(ModelConfig const& c, TrainingTypes const& types,
                                             Index length) noexcept {
  constexpr Index tile = 48, product = 256 * (240 + 64) + 240 * (16 + 64);
  Index const d = round_up(Index{c.mla.qk_dim()}, Index{64}), u = round_up(Index{c.mla.v_dim}, Index{64});
  Index const numbers = round_up(length, Index{64}) * 4 * (d + u + tile) + tile * (2 * d + u) + product;
  return max(numbers * types.exact + 16 * 64, Index{1} << 20);
}

}  // namespace detail

/// Bytes of activations of a micro-batch.
struct ActivationBytes {
  Index most_taken = 0;  ///< in use at the peak of a step
  Index held = 0;        ///< by the arena, whose blocks are not full to their ends

  friend constexpr bool operator==(ActivationBytes const&, ActivationBytes const&) = default;
};

[[nodiscard]] constexpr ActivationBytes activation_bytes(ModelConfig const& c, TrainingBatch const& batch,
                                                         TrainingTypes const& types) {
  ArenaPlan arena;
  detail::ActivationTakes(arena, c, types, batch.rows_at_once(), batch.length).step();
  return {arena.most_taken(), arena.capacity()};
}

/// The memory of `train::Trainer` on `Cpu` with so many threads. The configuration must be valid.
[[nodiscard]] constexpr TrainingMemory training_memory(ModelConfig const& c, TrainingBatch const& batch,
                                                       TrainingTypes const& types = {}, Index threads = 1) {
  Index const weights = trainable_parameters(c);
  ArenaPlan scratch;
  detail::ScratchTakes(scratch, c, types, batch.rows_at_once() * batch.length, batch.length).step();
  return {.weights = weights * types.master,
          .packed = detail::packed_bytes(c, types),
          .gradients = weights * types.master,
          .moments = weights * types.moments * types.moment,
          .activations = activation_bytes(c, batch, types).held,
          .scratch = scratch.capacity() + threads * detail::thread_scratch(c, types, batch.length)};
}

}  // namespace aeth
