/// The softmax cores of multi-head latent attention: expanded (per-head keys and values) and absorbed (the
/// latent cache).
///
/// legend   T query rows · S key rows · H heads · C latent rank
///          N, R, U non-rotary, rotary and value head sizes
/// source   DeepSeek-V2, arXiv:2405.04434, §2.1.2-2.1.3 and appendix C
#pragma once

#include <vector>

#include "aeth/backend/types.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"

namespace aeth::ops {

/// o_t = Σ_{j ≤ t} softmax_j(scale · q_t·k_j) v_j per head, within each span.
///
/// shapes   q [T,H·(N+R)], kv [S,H·(N+U)] (per head: N of key, then U of value), k_pe [S,R] → o [T,H·U]
/// saves    shift and 1/Σ of each softmax row, [T,H]
/// cost     about 2·H·(N+R+U) FLOP per visible (query, key) pair; scratch per thread grows with S, never T×S
template <class B, class X, class Y, class T>
void attention(B& backend, AttentionShape const& shape, T scale, std::vector<AttentionSpan> const& spans,
               MatrixView<X> q, MatrixView<X> kv, MatrixView<X> k_pe, MatrixView<Y> o,
               SoftmaxStatistics<T> statistics) {
  expect<ShapeError>(
      q.cols == shape.heads * shape.qk_dim() && kv.cols == shape.heads * (shape.nope_dim + shape.v_dim) &&
          k_pe.cols == shape.rope_dim && o.cols == shape.heads * shape.v_dim && o.rows == q.rows,
      "attention: q is [", q.rows, ",", q.cols, "], kv is [", kv.rows, ",", kv.cols, "], k_pe is [",
      k_pe.rows, ",", k_pe.cols, "], o is [", o.rows, ",", o.cols, "], which do not fit ", shape.heads,
      " heads");
  backend.attention(shape, scale, spans, as_const(q), as_const(kv), as_const(k_pe), o, statistics);
}

/// Makes room in the backend, so that later calls with spans of up to `keys` keys need not.
template <class T, class B>
void reserve_attention(B& backend, AttentionShape const& shape, Index keys) {
  expect<ShapeError>(keys > 0, "reserve_attention: room for ", keys, " keys; give at least one");
  backend.template reserve_attention<T>(shape, keys);
}

/// Overwrites dq, dkv and dk_pe. Probabilities are computed anew from q, kv and the saved statistics.
template <class B, class X, class T>
void attention_backward(B& backend, AttentionShape const& shape, T scale,
                        std::vector<AttentionSpan> const& spans, MatrixView<X> q, MatrixView<X> kv,
                        MatrixView<X> k_pe, MatrixView<X> o, SoftmaxStatistics<T> statistics,
                        MatrixView<X> d_o, MatrixView<X> dq, MatrixView<X> dkv, MatrixView<X> dk_pe) {
  expect<ShapeError>(d_o.rows == o.rows && d_o.cols == o.cols && dq.cols == q.cols && dkv.cols == kv.cols &&
                         dk_pe.cols == k_pe.cols,
                     "attention_backward: a gradient does not have the shape of its tensor");
  backend.attention_backward(shape, scale, spans, as_const(q), as_const(kv), as_const(k_pe), as_const(o),
                             statistics, as_const(d_o), dq, dkv, dk_pe);
}

/// The absorbed form: one shared key and value per position. Scale is that of the expanded form, not of C +
/// R.
///
/// shapes   q [T,H·(C+R)], cache [S,C+R] (latent after its norm, then rotated key) → o [T,H·C]
template <class B, class X, class T>
void latent_attention(B& backend, Index heads, Index latent_dim, T scale,
                      std::vector<AttentionSpan> const& spans, MatrixView<T> q, MatrixView<X> cache,
                      MatrixView<T> o) {
  expect<ShapeError>(q.cols == heads * cache.cols && o.cols == heads * latent_dim && o.rows == q.rows,
                     "latent_attention: q is [", q.rows, ",", q.cols, "], cache rows have ", cache.cols,
                     ", o is [", o.rows, ",", o.cols, "]");
  backend.latent_attention(heads, latent_dim, scale, spans, as_const(q), as_const(cache), o);
}

}  // namespace aeth::ops
