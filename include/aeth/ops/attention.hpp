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

/// errors   ShapeError unless each span lies within `queries` rows and `keys` rows and has no more queries than keys
inline void check_spans(char const* name, std::vector<AttentionSpan> const& spans, Index queries,
                        Index keys) {
  for (AttentionSpan const& span : spans)
    expect<ShapeError>(span.queries >= 0 && span.queries <= span.keys && span.query_begin >= 0 &&
                           span.query_begin + span.queries <= queries && span.key_begin >= 0 &&
                           span.key_begin + span.keys <= keys,
                       name, ": a span has ", span.queries, " queries from row ", span.query_begin, " and ",
                       span.keys, " keys from row ", span.key_begin, "; there are ", queries, " and ", keys,
                       " rows, and a query is one of the last keys");
}

/// o_t = Σ_{j ≤ t} softmax_j(scale · q_t·k_j) v_j per head, within each span.
///
/// shapes   q [T,H·(N+R)], kv [S,H·(N+U)] (per head: N of key, then U of value), k_pe [S,R] → o [T,H·U]
/// saves    shift and 1/Σ of each softmax row, [T,H]
/// cost     about 2·H·(N+R+U) FLOP per visible (query, key) pair; scratch per thread grows with S, never T×S
template <class B, class X, class Y, class T>
void attention(B& backend, AttentionShape const& shape, T scale, std::vector<AttentionSpan> const& spans,
               MatrixView<X> q, MatrixView<X> kv, MatrixView<X> k_pe, MatrixView<Y> o,
               SoftmaxStatistics<T> statistics) {
  expect<ShapeError>(q.cols == shape.heads * shape.qk_dim() &&
                         kv.cols == shape.heads * (shape.nope_dim + shape.v_dim) &&
                         k_pe.cols == shape.rope_dim && k_pe.rows == kv.rows &&
                         o.cols == shape.heads * shape.v_dim && o.rows == q.rows,
                     "attention: q is [", q.rows, ",", q.cols, "], kv is [", kv.rows, ",", kv.cols,
                     "], k_pe is [", k_pe.rows, ",", k_pe.cols, "], o is [", o.rows, ",", o.cols,
                     "], which do not fit ", shape.heads, " heads");
  check_spans("attention", spans, q.rows, kv.rows);
  backend.attention(shape, scale, spans, as_const(q), as_const(kv), as_const(k_pe), o, statistics);
}

/// Makes room in the backend, so that later calls with spans of up to `keys` keys need not.
template <class T, class B>
void reserve_attention(B& backend, AttentionShape const& shape, Index keys) {
  expect<ShapeError>(keys > 0, "reserve_attention: room for ", keys, " keys; give at least one");
  backend.template reserve_attention<T>(shape, keys);
}

/// Overwrites dq, dkv and dk_pe. Spans must follow each other and fill all rows, so that none shares a key. Probabilities are computed anew from q, kv and the saved statistics.
template <class B, class X, class T>
void attention_backward(B& backend, AttentionShape const& shape, T scale,
                        std::vector<AttentionSpan> const& spans, MatrixView<X> q, MatrixView<X> kv,
                        MatrixView<X> k_pe, MatrixView<X> o, SoftmaxStatistics<T> statistics,
                        MatrixView<X> d_o, MatrixView<X> dq, MatrixView<X> dkv, MatrixView<X> dk_pe) {
  expect<ShapeError>(d_o.rows == o.rows && d_o.cols == o.cols && dq.rows == q.rows && dq.cols == q.cols &&
                         dkv.rows == kv.rows && dkv.cols == kv.cols && dk_pe.rows == k_pe.rows &&
                         dk_pe.cols == k_pe.cols,
                     "attention_backward: a gradient does not have the shape of its tensor");
  check_spans("attention_backward", spans, q.rows, kv.rows);
  Index queries = 0, keys = 0;
  bool follow = true;
  for (AttentionSpan const& span : spans) {
    follow = follow && span.query_begin == queries && span.key_begin == keys;
    queries += span.queries;
    keys += span.keys;
  }
  expect<ShapeError>(follow && queries == q.rows && keys == kv.rows,
                     "attention_backward: spans must follow each other and fill all ", q.rows,
                     " queries and ", kv.rows, " keys");
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
  expect<ShapeError>(latent_dim <= cache.cols && q.cols == heads * cache.cols &&
                         o.cols == heads * latent_dim && o.rows == q.rows,
                     "latent_attention: q is [", q.rows, ",", q.cols, "], cache rows have ", cache.cols,
                     ", o is [", o.rows, ",", o.cols, "]");
  check_spans("latent_attention", spans, q.rows, cache.rows);
  backend.latent_attention(heads, latent_dim, scale, spans, as_const(q), as_const(cache), o);
}

}  // namespace aeth::ops
