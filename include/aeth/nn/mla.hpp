/// Multi-head latent attention: keys and values of all heads come from one low-rank latent per token.
///
/// legend   T tokens · D width · H heads · Q query rank · C latent rank
///          N, R, U non-rotary, rotary and value head sizes
/// source   DeepSeek-V2, arXiv:2405.04434, §2.1 and eq. 37-47; DeepSeek-V3 inference code, class `MLA`
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/nn/linear.hpp"
#include "aeth/nn/rms_norm.hpp"
#include "aeth/nn/rotary.hpp"
#include "aeth/numeric/block_scales.hpp"
#include "aeth/numeric/f8.hpp"
#include "aeth/ops/attention.hpp"
#include "aeth/ops/elementwise.hpp"

namespace aeth::nn {

/// What forward over T tokens leaves for backward, and what both work with; views into the caller's arena.
template <MlaConfig C, class P>
struct MlaContext {
  using A = typename P::Activation;
  using T = typename P::Exact;

  MatrixView<A> q_latent, q_normed;  ///< [T,Q], only with low-rank queries
  MatrixView<A> q;                   ///< [T,H·(N+R)], rotated
  MatrixView<A> latent;              ///< [T,C+R]: latent before its norm, then the rotated shared key
  MatrixView<A> latent_normed;       ///< [T,C]
  MatrixView<A> kv;                  ///< [T,H·(N+U)], per head: key, then value
  MatrixView<A> o;                   ///< [T,H·U]
  T* q_inverse = nullptr;            ///< [T] 1/rms of q_latent
  T* latent_inverse = nullptr;       ///< [T] 1/rms of the latent
  SoftmaxStatistics<T> softmax;      ///< [T,H]

  /// Takes what `Mla::project` fills. Queries without a latent are not made anew: that would cost as much as a layer's
  /// largest product.
  void reserve_projection(Arena& arena, Index tokens, Hold hold = Hold::all) {
    bool const kept = takes(hold, false), remade = takes(hold, P::recomputes);
    if constexpr (C.q_rank > 0) {
      if (kept) q_latent = arena.matrix<A>(tokens, C.q_rank);
      if (remade) q_normed = arena.matrix<A>(tokens, C.q_rank);
      if (kept) q_inverse = arena.take<T>(tokens);
    }
    if (C.q_rank > 0 ? remade : kept) q = arena.matrix<A>(tokens, C.heads * C.qk_dim());
    if (kept) latent = arena.matrix<A>(tokens, C.kv_rank + C.rope_dim);
    if (remade) latent_normed = arena.matrix<A>(tokens, C.kv_rank);
    if (kept) latent_inverse = arena.take<T>(tokens);
  }

  /// Takes what training needs.
  void reserve(Arena& arena, Index tokens, Hold hold = Hold::all) {
    reserve_projection(arena, tokens, hold);
    if (takes(hold, P::recomputes)) kv = arena.matrix<A>(tokens, C.heads * (C.nope_dim + C.v_dim));
    if (!takes(hold, false)) return;
    o = arena.matrix<A>(tokens, C.heads * C.v_dim);
    softmax = {arena.take<T>(tokens * C.heads), arena.take<T>(tokens * C.heads)};
  }

  [[nodiscard]] MatrixView<A> k_pe() const { return latent.col_slice(C.kv_rank, C.rope_dim); }
};

/// The attention layer of one block, without the norm before it and the residual after it.
///
/// shapes   h [T,D] → y [T,D]
/// cost     per token 2·(D·Q + Q·H·(N+R) + D·(C+R) + C·H·(N+U) + H·U·D) FLOP, plus attention itself
template <MlaConfig C, int D, class P, class B>
class Mla {
 public:
  using A = typename P::Activation;
  using T = typename P::Exact;
  using Context = MlaContext<C, P>;

  static constexpr AttentionShape shape{C.heads, C.nope_dim, C.rope_dim, C.v_dim};

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    if constexpr (C.q_rank > 0) {
      q_a_.for_each_parameter(name + ".q_a_proj", visit);
      q_a_norm_.for_each_parameter(name + ".q_a_layernorm", visit);
      q_.for_each_parameter(name + ".q_b_proj", visit);
    } else {
      q_.for_each_parameter(name + ".q_proj", visit);
    }
    kv_a_.for_each_parameter(name + ".kv_a_proj_with_mqa", visit);
    kv_a_norm_.for_each_parameter(name + ".kv_a_layernorm", visit);
    kv_b_.for_each_parameter(name + ".kv_b_proj", visit);
    o_.for_each_parameter(name + ".o_proj", visit);
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    if constexpr (C.q_rank > 0) q_a_.for_each_packed(visit);
    q_.for_each_packed(visit);
    kv_a_.for_each_packed(visit);
    kv_b_.for_each_packed(visit);
    o_.for_each_packed(visit);
    key_up_.first = value_up_.first = &kv_b_.weight();
    visit(key_up_);
    visit(value_up_);
  }

  /// Everything up to the cached quantities: rotated queries, normed latent, rotated shared key.
  void project(B& backend, MatrixView<A> h, ops::RotaryView<T> const& rotary, Context& c) const {
    if constexpr (C.q_rank > 0) {
      q_a_.forward(backend, h, c.q_latent);
      queries_from_latent(backend, rotary, c);
    } else {
      q_.forward(backend, h, c.q);
      ops::rotate(backend, c.q, C.heads, C.rope_dim, rotary, ops::Direction::forward);
    }
    kv_a_.forward(backend, h, c.latent);
    kv_a_norm_.forward(backend, c.latent.col_slice(0, C.kv_rank), c.latent_normed, c.latent_inverse);
    ops::rotate(backend, c.k_pe(), 1, C.rope_dim, rotary, ops::Direction::forward);
  }

  /// What project() and expand() made of the latents that are kept.
  void remake(B& backend, ops::RotaryView<T> const& rotary, Context& c) const {
    if constexpr (C.q_rank > 0) queries_from_latent(backend, rotary, c);
    kv_a_norm_.forward(backend, c.latent.col_slice(0, C.kv_rank), c.latent_normed, c.latent_inverse);
    expand(backend, c.latent_normed, c.kv);
  }

  /// kv [S,H·(N+U)] of normed latents [S,C].
  void expand(B& backend, MatrixView<A> latent_normed, MatrixView<A> kv) const {
    kv_b_.forward(backend, latent_normed, kv);
  }

  /// y [T,D] (+)= o [T,H·U] through the output projection.
  void output(B& backend, MatrixView<A> o, MatrixView<T> y) const { o_.forward(backend, o, y); }

  /// Room in the backend for forward and backward over segments of up to `keys` tokens.
  void reserve_scratch(B& backend, Index keys) const { ops::reserve_attention<T>(backend, shape, keys); }

  /// Training and prefill in the expanded form.
  void forward(B& backend, MatrixView<A> h, ops::RotaryView<T> const& rotary,
               std::vector<AttentionSpan> const& spans, MatrixView<T> y, Context& c) const {
    project(backend, h, rotary, c);
    expand(backend, c.latent_normed, c.kv);
    ops::attention(backend, shape, scale_, spans, c.q, c.kv, c.k_pe(), c.o, c.softmax);
    output(backend, c.o, y);
  }

  /// Queries of the context against expanded keys and values kept elsewhere; fills c.o. kv [S,H·(N+U)], k_pe
  /// [S,R].
  void attend(B& backend, std::vector<AttentionSpan> const& spans, MatrixView<A> kv, MatrixView<A> k_pe,
              Context& c) const {
    ops::attention(backend, shape, scale_, spans, c.q, kv, k_pe, c.o, c.softmax);
  }

  /// Queries of one sequence against its keys in the latent cache [S,C+R], expanded here; fills their rows of c.o.
  void attend_expanding(B& backend, AttentionSpan span, MatrixView<A> cache, Context& c, Arena& arena) const {
    ArenaScope const scope(arena);
    auto const rows = cache.row_slice(span.key_begin, span.keys);
    // A power of two: while a sequence grows, memory grows by doubling and not with every call.
    auto const kv =
        arena.matrix<A>(power_of_two(span.keys), C.heads * (C.nope_dim + C.v_dim)).row_slice(0, span.keys);
    expand(backend, rows.col_slice(0, C.kv_rank), kv);
    span.key_begin = 0;
    attend(backend, {span}, kv, rows.col_slice(C.kv_rank, C.rope_dim), c);
  }

  /// Queries of the context against the latent cache [S,C+R]; fills c.o. W_uk moves to the query side and
  /// W_uv to the output side, so nothing per head is ever made of cached tokens.
  ///
  /// source   DeepSeek-V2 §2.1.3 and appendix C; `absorb` branch of the V3 inference code
  void attend_absorbed(B& backend, std::vector<AttentionSpan> const& spans, MatrixView<A> cache, Context& c,
                       Arena& arena) const {
    ArenaScope const scope(arena);
    Index const tokens = c.q.rows, width = C.kv_rank + C.rope_dim;
    auto const query = arena.matrix<T>(tokens, C.heads * width);
    auto const summed = arena.matrix<T>(tokens, C.heads * C.kv_rank);
    ops::linear_per_head(backend, C.heads, c.q, C.qk_dim(), C.nope_dim, key_up_.data, key_up_.stride,
                         C.kv_rank, query, width);
    for (Index h = 0; h < C.heads; ++h)
      for (Index t = 0; t < tokens; ++t)
        for (Index i = 0; i < C.rope_dim; ++i)
          query(t, h * width + C.kv_rank + i) = static_cast<T>(c.q(t, h * C.qk_dim() + C.nope_dim + i));
    ops::latent_attention(backend, C.heads, C.kv_rank, scale_, spans, query, cache, summed);
    ops::linear_per_head(backend, C.heads, summed, C.kv_rank, C.kv_rank, value_up_.data, value_up_.stride,
                         C.v_dim, c.o, C.v_dim);
  }

  /// dh [T,D] is overwritten, weight gradients accumulate. h is forward's input.
  void backward(B& backend, MatrixView<T> dy, MatrixView<A> h, ops::RotaryView<T> const& rotary,
                std::vector<AttentionSpan> const& spans, MatrixView<T> dh, Context& c, Arena& arena) const {
    ArenaScope const scope(arena);
    if constexpr (P::recomputes) remake(backend, rotary, c);
    Index const tokens = h.rows;
    auto const d_o = arena.matrix<A>(tokens, c.o.cols);
    auto const dq = arena.matrix<A>(tokens, c.q.cols);
    auto const dkv = arena.matrix<A>(tokens, c.kv.cols);
    auto const d_latent = arena.matrix<A>(tokens, c.latent.cols);
    auto const d_latent_normed = arena.matrix<A>(tokens, C.kv_rank);
    auto const d_k_pe = d_latent.col_slice(C.kv_rank, C.rope_dim);
    o_.backward(backend, dy, c.o, d_o, Write::overwrite);
    ops::attention_backward(backend, shape, scale_, spans, c.q, c.kv, c.k_pe(), c.o, c.softmax, d_o, dq, dkv,
                            d_k_pe);
    ops::rotate(backend, dq, C.heads, C.rope_dim, rotary, ops::Direction::backward);
    ops::rotate(backend, d_k_pe, 1, C.rope_dim, rotary, ops::Direction::backward);
    kv_b_.backward(backend, dkv, c.latent_normed, d_latent_normed, Write::overwrite);
    kv_a_norm_.backward(backend, d_latent_normed, c.latent.col_slice(0, C.kv_rank), c.latent_inverse,
                        d_latent.col_slice(0, C.kv_rank), Write::overwrite);
    kv_a_.backward(backend, d_latent, h, dh, Write::overwrite);
    if constexpr (C.q_rank > 0) {
      auto const dq_normed = arena.matrix<A>(tokens, C.q_rank);
      auto const dq_latent = arena.matrix<A>(tokens, C.q_rank);
      q_.backward(backend, dq, c.q_normed, dq_normed, Write::overwrite);
      q_a_norm_.backward(backend, dq_normed, c.q_latent, c.q_inverse, dq_latent, Write::overwrite);
      q_a_.backward(backend, dq_latent, h, dh, Write::accumulate);
    } else {
      q_.backward(backend, dq, h, dh, Write::accumulate);
    }
  }

 private:
  void queries_from_latent(B& backend, ops::RotaryView<T> const& rotary, Context& c) const {
    q_a_norm_.forward(backend, c.q_latent, c.q_normed, c.q_inverse);
    q_.forward(backend, c.q_normed, c.q);
    ops::rotate(backend, c.q, C.heads, C.rope_dim, rotary, ops::Direction::forward);
  }

  Linear<P, B> q_a_{C.q_rank, D};
  RmsNorm<P, B> q_a_norm_{C.q_rank, C.norm_eps};
  Linear<P, B> q_{C.heads * C.qk_dim(), C.q_rank > 0 ? C.q_rank : D};
  Linear<P, B> kv_a_{C.kv_rank + C.rope_dim, D};
  RmsNorm<P, B> kv_a_norm_{C.kv_rank, C.norm_eps};
  Linear<P, B> kv_b_{C.heads * (C.nope_dim + C.v_dim), C.kv_rank};
  Linear<P, B> o_{D, C.heads* C.v_dim};
  /// W_uk and W_uv of each head, for the absorbed form.
  static constexpr Index head_size = Index{C.nope_dim + C.v_dim} * C.kv_rank;
  static constexpr bool f8 = std::is_same_v<typename P::Weight, e4m3>;
  /// Where blocks of kv_b that share a scale end where W_uk and W_uv do, products take its codes.
  static constexpr bool whole_blocks = C.nope_dim % scale_block == 0 && C.v_dim % scale_block == 0;
  static constexpr bool from_f8 = f8 && !whole_blocks;
  using Absorbed = std::conditional_t<from_f8, typename P::WideWeight, typename P::Weight>;
  PackedWeights<T, Absorbed> key_up_{.out = C.kv_rank,
                                     .in = C.nope_dim,
                                     .copies = C.heads,
                                     .source_stride = head_size,
                                     .transposed = true,
                                     .from_f8 = from_f8};
  PackedWeights<T, Absorbed> value_up_{.out = C.v_dim,
                                       .in = C.kv_rank,
                                       .copies = C.heads,
                                       .source_stride = head_size,
                                       .source_offset = Index{C.nope_dim} * C.kv_rank,
                                       .from_f8 = from_f8};
  T scale_ = static_cast<T>(softmax_scale(C));
};

}  // namespace aeth::nn
