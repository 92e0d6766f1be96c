/// One module of multi-token prediction: predicts one token further ahead than what feeds it.
///
/// legend   T tokens · D width
/// source   DeepSeek-V3, arXiv:2412.19437, §2.2, eq. 21-23; the embedding half comes first in eh_proj, as the
///          released weights have it (README_WEIGHTS.md), not as eq. 21 prints it
#pragma once

#include <string>

#include "aeth/config/model_config.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/nn/block.hpp"
#include "aeth/nn/linear.hpp"
#include "aeth/nn/rms_norm.hpp"

namespace aeth::nn {

/// What forward leaves for backward.
template <BlockConfig C, class P>
struct MtpContext {
  using A = typename P::Activation;
  using T = typename P::Exact;
  MatrixView<T> embedding;  ///< [T,D] of the token k places ahead
  MatrixView<A> pair;       ///< [T,2D] normed embedding beside normed state
  MatrixView<T> x, out;     ///< [T,D] residual stream before and after the block
  MatrixView<A> normed;     ///< [T,D] what the shared head reads
  T *embedding_inverse = nullptr, *state_inverse = nullptr, *out_inverse = nullptr;  ///< [T]
  BlockContext<C, P> block;
};

/// h' = Block( eh_proj [ enorm(embedding) ; hnorm(state) ] ); logits are Head( norm(h') ) with the main
/// model's head.
///
/// shapes   embedding, state [T,D] → c.out, c.normed [T,D]; row i stays at rotary position i
template <BlockConfig C, class P, class B>
class Mtp {
 public:
  using A = typename P::Activation;
  using T = typename P::Exact;
  using Context = MtpContext<C, P>;

  /// ffn_dim: width of the block's dense FFN in models without experts.
  explicit Mtp(Index ffn_dim) : block_(C.moe.experts > 0, ffn_dim) {}

  template <class Visit>
  void for_each_parameter(std::string const& name, Visit&& visit) {
    embedding_norm_.for_each_parameter(name + ".enorm", visit);
    state_norm_.for_each_parameter(name + ".hnorm", visit);
    eh_proj_.for_each_parameter(name + ".eh_proj", visit);
    block_.for_each_parameter(name, visit);
    out_norm_.for_each_parameter(name + ".shared_head.norm", visit);
  }
  template <class Visit>
  void for_each_bias(std::string const& name, Visit&& visit) {
    block_.for_each_bias(name, visit);
  }
  template <class Visit>
  void for_each_packed(Visit&& visit) {
    eh_proj_.for_each_packed(visit);
    block_.for_each_packed(visit);
  }

  void reserve(Arena& arena, Index tokens, Index sequences, Context& c) const {
    c.embedding = arena.matrix<T>(tokens, C.dim);
    c.pair = arena.matrix<A>(tokens, 2 * C.dim);
    c.x = arena.matrix<T>(tokens, C.dim);
    c.out = arena.matrix<T>(tokens, C.dim);
    c.normed = arena.matrix<A>(tokens, C.dim);
    c.embedding_inverse = arena.take<T>(tokens);
    c.state_inverse = arena.take<T>(tokens);
    c.out_inverse = arena.take<T>(tokens);
    block_.reserve(arena, tokens, sequences, c.block);
  }

  /// c.embedding holds the embeddings; state is what the level below hands up.
  template <class S>
  void forward(B& backend, MatrixView<S> state, PassGeometry<T> const& pass, Context& c, Arena& arena) const {
    embedding_norm_.forward(backend, c.embedding, c.pair.col_slice(0, C.dim), c.embedding_inverse);
    state_norm_.forward(backend, state, c.pair.col_slice(C.dim, C.dim), c.state_inverse);
    eh_proj_.forward(backend, c.pair, c.x);
    block_.forward(backend, c.x, c.out, pass, c.block, arena);
    out_norm_.forward(backend, c.out, c.normed, c.out_inverse);
  }

  /// d_out [T,D] holds what deeper modules added to d(c.out), d_normed d(c.normed). d_embedding is
  /// overwritten, d_state continues, weight gradients accumulate.
  template <class S>
  void backward(B& backend, MatrixView<T> d_normed, MatrixView<T> d_out, MatrixView<S> state,
                MatrixView<T> d_embedding, MatrixView<T> d_state, PassGeometry<T> const& pass, Context& c,
                Arena& arena) const {
    ArenaScope const scope(arena);
    auto const d_pair = arena.matrix<T>(d_out.rows, 2 * C.dim);
    out_norm_.backward(backend, d_normed, c.out, c.out_inverse, d_out, Write::accumulate);
    block_.backward(backend, d_out, pass, c.block, arena);
    eh_proj_.backward(backend, d_out, c.pair, d_pair, Write::overwrite);
    embedding_norm_.backward(backend, d_pair.col_slice(0, C.dim), c.embedding, c.embedding_inverse,
                             d_embedding, Write::overwrite);
    state_norm_.backward(backend, d_pair.col_slice(C.dim, C.dim), state, c.state_inverse, d_state,
                         Write::accumulate);
  }

  void update_bias(VectorView<std::int64_t const> load, double rate) { block_.update_bias(load, rate); }

 private:
  RmsNorm<P, B> embedding_norm_{C.dim, C.norm_eps};
  RmsNorm<P, B> state_norm_{C.dim, C.norm_eps};
  Linear<P, B, typename P::WideWeight> eh_proj_{C.dim, 2 * C.dim};
  Block<C, P, B> block_;
  RmsNorm<P, B> out_norm_{C.dim, C.norm_eps};
};

}  // namespace aeth::nn
