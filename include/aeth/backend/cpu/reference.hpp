/// The plain twin of `Cpu`: the same operations as textbook formulas, the oracle of the parity tests.
///
/// One thread, arithmetic in double whatever the storage, Eigen for matrix products, no promise about bits.
/// It shares no code with the kernels, and where `Cpu` reuses something that forward saved (softmax
/// statistics), this class computes it anew, so that an error of one cannot hide in the other.
///
/// legend   T tokens · D width · H heads · N, R, U non-rotary, rotary and value head sizes · E experts · K
///          per token
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "aeth/backend/cpu/detail/reference_math.hpp"
#include "aeth/backend/types.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/core/view.hpp"

namespace aeth {

/// See `Cpu` for the meaning and the shapes of each operation.
class CpuReference : private detail::ReferenceMath {
 public:
  static constexpr char const* name = "cpu_reference";

  [[nodiscard]] int threads() const noexcept { return 1; }
  [[nodiscard]] Arena& scratch() noexcept { return scratch_; }
  template <class Task>
  void parallel(Index count, Task&& task) {
    for (Index i = 0; i < count; ++i) task(i, 0);
  }

  // --- matrix products

  /// The prepared form of a weight is the weight itself.
  template <class W>
  [[nodiscard]] static Index packed_size(Index out, Index in) {
    return out * in;
  }
  template <class T, class W>
  void pack_weights(MatrixView<T const> w, W* packed) {
    for (Index i = 0; i < w.rows; ++i)
      for (Index j = 0; j < w.cols; ++j) packed[i * w.cols + j] = W(w(i, j));
  }
  template <class T, class W>
  void pack_transposed(MatrixView<T const> w, W* packed) {
    for (Index i = 0; i < w.rows; ++i)
      for (Index j = 0; j < w.cols; ++j) packed[j * w.rows + i] = W(w(i, j));
  }

  template <class X, class Y, class W>
  void linear(MatrixView<X const> x, W const* packed, MatrixView<Y> y, Write write = Write::overwrite) {
    MatrixView<W const> const w(packed, y.cols, x.cols);
    put(operand<W>(x) * wide(w).transpose(), y, write);
  }
  template <class X, class Y, class W>
  void linear_per_head(Index heads, MatrixView<X const> x, Index x_step, Index in, W const* packed,
                       Index packed_stride, Index out, MatrixView<Y> y, Index y_step) {
    for (Index h = 0; h < heads; ++h)
      linear(x.col_slice(h * x_step, in), packed + h * packed_stride, y.col_slice(h * y_step, out));
  }
  template <class W, class DY, class X, class T>
  void linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw) {
    put(operand<W>(dy).transpose() * operand<W>(x), dw, Write::accumulate);
  }

  template <class X, class Y, class W>
  void grouped_linear(MatrixView<X const> x, W const* packed, Index packed_stride, Index const* first,
                      Index groups, MatrixView<Y> y) {
    for (Index e = 0; e < groups; ++e)
      linear(group(x, first, e), packed + e * packed_stride, group(y, first, e));
  }
  template <class W, class DY, class X, class T>
  void grouped_linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw0,
                                  Index weight_stride, Index const* first, Index groups) {
    for (Index e = 0; e < groups; ++e)
      linear_weight_grad<W>(group(dy, first, e), group(x, first, e), shifted(dw0, e * weight_stride));
  }

  // --- row operations

  template <class X, class Y, class T>
  void rms_norm(MatrixView<X const> x, T const* gain, T eps, MatrixView<Y> y, T* inverse) {
    for (Index t = 0; t < x.rows; ++t) {
      double squares = 0;
      for (Index i = 0; i < x.cols; ++i) squares += wide(x(t, i)) * wide(x(t, i));
      double const r = 1.0 / std::sqrt(squares / wide(x.cols) + wide(eps));
      for (Index i = 0; i < x.cols; ++i) put(wide(x(t, i)) * r * wide(gain[i]), y(t, i));
      put(r, inverse[t]);
    }
  }

  /// With r = 1/rms: ∂y_i/∂x_j = gain_i · (r · [i = j] − x_i · x_j · r³ / D).
  template <class DY, class X, class DX, class T>
  void rms_norm_backward(MatrixView<DY const> dy, MatrixView<X const> x, T const* gain, T const* inverse,
                         MatrixView<DX> dx, T* d_gain, Write write) {
    Matrix d_x(x.rows, x.cols);
    std::vector<double> gain_sum(to_size(x.cols), 0.0);
    for (Index t = 0; t < x.rows; ++t) {
      double const r = wide(inverse[t]);
      for (Index j = 0; j < x.cols; ++j) {
        gain_sum[to_size(j)] += wide(dy(t, j)) * wide(x(t, j)) * r;
        d_x(t, j) = 0;
        for (Index i = 0; i < x.cols; ++i)
          d_x(t, j) += wide(dy(t, i)) * wide(gain[i]) *
                       ((i == j ? r : 0.0) - wide(x(t, i)) * wide(x(t, j)) * r * r * r / wide(x.cols));
      }
    }
    put(d_x, dx, write);
    for (Index j = 0; j < x.cols; ++j) put(wide(d_gain[j]) + gain_sum[to_size(j)], d_gain[j]);
  }

  /// Each pair as a complex number times cos + i·sin; backward multiplies with the conjugate.
  template <class X, class T>
  void rotate(MatrixView<X> x, Index heads, Index rope_dim, std::int32_t const* positions, T const* cosine,
              T const* sine, int direction) {
    for (Index t = 0; t < x.rows; ++t)
      for (Index h = 0; h < heads; ++h)
        for (Index i = 0; i < rope_dim; i += 2) {
          Index const column = (h + 1) * (x.cols / heads) - rope_dim + i, at = positions[t] * rope_dim + i;
          double const c = wide(cosine[at]), s = wide(sine[at + 1]) * direction;
          double const real = wide(x(t, column)), imaginary = wide(x(t, column + 1));
          put(real * c - imaginary * s, x(t, column));
          put(real * s + imaginary * c, x(t, column + 1));
        }
  }

  template <class X, class Y>
  void swiglu(MatrixView<X const> gate_up, MatrixView<Y> y) {
    for (Index t = 0; t < y.rows; ++t)
      for (Index i = 0; i < y.cols; ++i) {
        double const g = wide(gate_up(t, i));
        put(g * sigmoid(g) * wide(gate_up(t, y.cols + i)), y(t, i));
      }
  }
  template <class DY, class X, class D>
  void swiglu_backward(MatrixView<DY const> dy, MatrixView<X const> gate_up, MatrixView<D> d_gate_up) {
    for (Index t = 0; t < dy.rows; ++t)
      for (Index i = 0; i < dy.cols; ++i) {
        double const g = wide(gate_up(t, i)), up = wide(gate_up(t, dy.cols + i)), s = sigmoid(g);
        put(wide(dy(t, i)) * up * (s + g * s * (1.0 - s)), d_gate_up(t, i));
        put(wide(dy(t, i)) * g * s, d_gate_up(t, dy.cols + i));
      }
  }

  template <class X, class T>
  void add(MatrixView<X const> x, MatrixView<T> y) {
    put(wide(x), y, Write::accumulate);
  }
  template <class T>
  void embed(MatrixView<T const> table, std::int32_t const* tokens, MatrixView<T> y) {
    for (Index t = 0; t < y.rows; ++t)
      for (Index j = 0; j < y.cols; ++j) y(t, j) = tokens[t] < 0 ? T(0) : table(tokens[t], j);
  }
  template <class T>
  void embed_backward(MatrixView<T const> dy, std::int32_t const* tokens, MatrixView<T> d_table) {
    for (Index t = 0; t < dy.rows; ++t)
      if (tokens[t] >= 0) put(wide(dy.row_slice(t, 1)), d_table.row_slice(tokens[t], 1), Write::accumulate);
  }

  // --- attention

  /// Nothing: this backend allocates as it goes.
  template <class T>
  void reserve_attention(AttentionShape, Index) {}

  template <class X, class Y, class T>
  void attention(AttentionShape shape, T scale, std::vector<AttentionSpan> const& spans,
                 MatrixView<X const> q, MatrixView<X const> kv, MatrixView<X const> k_pe, MatrixView<Y> o,
                 SoftmaxStatistics<T> statistics) {
    for (AttentionSpan const& span : spans)
      for (Index h = 0; h < shape.heads; ++h) {
        Head const x(shape, span, h, q, kv, k_pe);
        for (Index i = 0; i < span.queries; ++i) {
          Softmax const row(x.q.row(i) * x.k.topRows(x.seen(i)).transpose(), wide(scale));
          put(row.p * x.v.topRows(x.seen(i)),
              o.row_slice(span.query_begin + i, 1).col_slice(h * shape.v_dim, shape.v_dim), Write::overwrite);
          put(row.shift, statistics.shift[(span.query_begin + i) * shape.heads + h]);
          put(1.0 / row.sum, statistics.inverse_sum[(span.query_begin + i) * shape.heads + h]);
        }
      }
  }

  /// Reads neither o nor the statistics: p comes from q and k, Σ p·dp in place of o·do.
  template <class X, class T>
  void attention_backward(AttentionShape shape, T scale, std::vector<AttentionSpan> const& spans,
                          MatrixView<X const> q, MatrixView<X const> kv, MatrixView<X const> k_pe,
                          MatrixView<X const>, SoftmaxStatistics<T>, MatrixView<X const> d_o,
                          MatrixView<X> dq, MatrixView<X> dkv, MatrixView<X> dk_pe) {
    Index const n = shape.nope_dim, r = shape.rope_dim, u = shape.v_dim;
    Matrix d_q = Matrix::Zero(dq.rows, dq.cols), d_kv = Matrix::Zero(dkv.rows, dkv.cols),
           d_k_pe = Matrix::Zero(dk_pe.rows, dk_pe.cols);
    for (AttentionSpan const& span : spans)
      for (Index h = 0; h < shape.heads; ++h) {
        Head const x(shape, span, h, q, kv, k_pe);
        for (Index i = 0; i < span.queries; ++i) {
          Index const t = span.query_begin + i, seen = x.seen(i), first = span.key_begin;
          auto const k = x.k.topRows(seen), v = x.v.topRows(seen);
          Softmax const row(x.q.row(i) * k.transpose(), wide(scale));
          Matrix const d_out = wide(d_o.row_slice(t, 1).col_slice(h * u, u));
          Matrix const dp = d_out * v.transpose();
          Matrix const ds = row.p.cwiseProduct((dp.array() - row.p.cwiseProduct(dp).sum()).matrix());
          Matrix const dk = ds.transpose() * x.q.row(i) * wide(scale);
          d_q.block(t, h * (n + r), 1, n + r) += ds * k * wide(scale);
          d_kv.block(first, h * (n + u), seen, n) += dk.leftCols(n);
          d_k_pe.block(first, 0, seen, r) += dk.rightCols(r);
          d_kv.block(first, h * (n + u) + n, seen, u) += row.p.transpose() * d_out;
        }
      }
    put(d_q, dq, Write::overwrite);
    put(d_kv, dkv, Write::overwrite);
    put(d_k_pe, dk_pe, Write::overwrite);
  }

  template <class X, class T>
  void latent_attention(Index heads, Index latent_dim, T scale, std::vector<AttentionSpan> const& spans,
                        MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o) {
    for (AttentionSpan const& span : spans)
      for (Index i = 0; i < span.queries; ++i)
        for (Index h = 0; h < heads; ++h) {
          Index const t = span.query_begin + i;
          Matrix const keys = wide(cache.row_slice(span.key_begin, span.keys - span.queries + i + 1));
          Softmax const row(
              operand<X>(q.row_slice(t, 1).col_slice(h * cache.cols, cache.cols)) * keys.transpose(),
              wide(scale));
          put(row.p * keys.leftCols(latent_dim), o.row_slice(t, 1).col_slice(h * latent_dim, latent_dim),
              Write::overwrite);
        }
  }

  // --- mixture of experts

  template <class T>
  void route(RoutingRule const& rule, MatrixView<T const> logits, T const* bias, MatrixView<T> scores,
             MatrixView<std::int32_t> experts, MatrixView<T> gates) {
    Index const group_size = rule.experts / rule.groups;
    for (Index t = 0; t < logits.rows; ++t) {
      Matrix s = wide(logits.row_slice(t, 1));
      s = rule.softmax ? Softmax(s, 1.0).p : Matrix(s.unaryExpr(&ReferenceMath::sigmoid));
      put(s, scores.row_slice(t, 1), Write::overwrite);

      std::vector<double> choice, group_score;
      for (Index i = 0; i < rule.experts; ++i) choice.push_back(s(0, i) + (bias ? wide(bias[i]) : 0.0));
      for (Index g = 0; g < rule.groups; ++g) {
        std::vector<double> best(choice.begin() + g * group_size, choice.begin() + (g + 1) * group_size);
        std::sort(best.begin(), best.end(), std::greater<>());
        group_score.push_back(rule.group_by_top_two ? best.at(0) + best.at(1) : best.at(0));
      }
      std::vector<Index> const kept = best_of(group_score, rule.top_groups);
      for (Index i = 0; i < rule.experts; ++i)
        if (std::find(kept.begin(), kept.end(), i / group_size) == kept.end())
          choice[to_size(i)] = -std::numeric_limits<double>::infinity();
      std::vector<Index> const chosen = best_of(choice, rule.top_k);

      double sum = 0;
      for (Index const e : chosen) sum += s(0, e);
      for (Index k = 0; k < rule.top_k; ++k) {
        Index const e = chosen[to_size(k)];
        experts(t, k) = static_cast<std::int32_t>(e);
        put(s(0, e) / (rule.normalize ? sum + 1e-20 : 1.0) * rule.gate_scale, gates(t, k));
      }
    }
  }

  /// Both Jacobians in full: gates by scores, then scores by logits.
  template <class T>
  void route_backward(RoutingRule const& rule, MatrixView<T const> scores,
                      MatrixView<std::int32_t const> experts, MatrixView<T const> d_gates,
                      MatrixView<T const> d_scores, MatrixView<T> d_logits) {
    for (Index t = 0; t < scores.rows; ++t) {
      Matrix const s = wide(scores.row_slice(t, 1));
      Matrix ds = Matrix::Zero(1, rule.experts);
      if (d_scores.data) ds = wide(d_scores.row_slice(t, 1));
      double sum = 1e-20;
      for (Index k = 0; k < rule.top_k; ++k) sum += s(0, experts(t, k));
      for (Index k = 0; k < rule.top_k; ++k)
        for (Index j = 0; j < rule.top_k; ++j) {
          double const same = k == j ? 1.0 : 0.0;
          double const slope = rule.normalize ? same / sum - s(0, experts(t, k)) / (sum * sum) : same;
          ds(0, experts(t, j)) += wide(d_gates(t, k)) * rule.gate_scale * slope;
        }
      for (Index i = 0; i < rule.experts; ++i) {
        double dz = 0;
        for (Index j = 0; j < rule.experts; ++j) {
          double const same = i == j ? 1.0 : 0.0;
          dz += ds(0, j) * (rule.softmax ? s(0, j) * (same - s(0, i)) : same * s(0, i) * (1.0 - s(0, i)));
        }
        put(dz, d_logits(t, i));
      }
    }
  }

  template <class T>
  void balance_loss(VectorView<Index const> sequences, MatrixView<T const> scores,
                    MatrixView<std::int32_t const> experts, double weight, T* loss, MatrixView<T> d_scores) {
    for (Index b = 0; b + 1 < sequences.size; ++b) {
      Index const first = sequences[b], tokens = sequences[b + 1] - first;
      Matrix const s = wide(scores.row_slice(first, tokens));
      Eigen::VectorXd f = Eigen::VectorXd::Zero(scores.cols);
      for (Index t = 0; t < tokens; ++t)
        for (Index k = 0; k < experts.cols; ++k)
          f(experts(first + t, k)) += wide(scores.cols) / (wide(experts.cols) * wide(tokens));
      double total = 0;
      for (Index t = 0; t < tokens; ++t) {
        double const sum = s.row(t).sum(), inner = s.row(t).dot(f);
        total += weight * inner / sum / wide(tokens);
        for (Index i = 0; d_scores.data && i < scores.cols; ++i)
          put(weight / wide(tokens) * (f(i) / sum - inner / (sum * sum)), d_scores(first + t, i));
      }
      put(total, loss[b]);
    }
  }

  template <class X>
  void gather(MatrixView<X const> x, std::int32_t const* rows, MatrixView<X> y) {
    for (Index i = 0; i < y.rows; ++i) std::copy_n(x.row(rows[i]), y.cols, y.row(i));
  }
  template <class X, class T>
  void combine(MatrixView<X const> expert_rows, MatrixView<std::int32_t const> slots,
               MatrixView<T const> gates, MatrixView<T> y) {
    for (Index t = 0; t < y.rows; ++t) {
      Matrix sum = Matrix::Zero(1, y.cols);
      for (Index k = 0; k < slots.cols; ++k)
        sum += (gates.data ? wide(gates(t, k)) : 1.0) * wide(expert_rows.row_slice(slots(t, k), 1));
      put(sum, y.row_slice(t, 1), Write::accumulate);
    }
  }
  template <class X, class T>
  void combine_backward(MatrixView<T const> dy, MatrixView<X const> expert_rows,
                        MatrixView<std::int32_t const> slots, MatrixView<T const> gates,
                        MatrixView<X> d_expert_rows, MatrixView<T> d_gates) {
    for (Index t = 0; t < dy.rows; ++t)
      for (Index k = 0; k < slots.cols; ++k) {
        Matrix const d = wide(dy.row_slice(t, 1));
        put(d.cwiseProduct(wide(expert_rows.row_slice(slots(t, k), 1))).sum(), d_gates(t, k));
        put(d * wide(gates(t, k)), d_expert_rows.row_slice(slots(t, k), 1), Write::overwrite);
      }
  }

  // --- losses and optimizers

  template <class T>
  void cross_entropy(MatrixView<T> logits, std::int32_t const* targets, T scale, T* loss) {
    for (Index t = 0; t < logits.rows; ++t) {
      Matrix const z = wide(logits.row_slice(t, 1));
      Softmax const row(z, 1.0);
      Matrix d = Matrix::Zero(1, logits.cols);
      if (targets[t] >= 0) {
        d = row.p * wide(scale);
        d(0, targets[t]) -= wide(scale);
      }
      put(targets[t] < 0 ? 0.0 : std::log(row.sum) + row.shift - z(0, targets[t]), loss[t]);
      if (scale != T(0)) put(d, logits.row_slice(t, 1), Write::overwrite);
    }
  }

  template <class T, class M>
  void adamw(T* weight, T const* gradient, M* first, M* second, Index size, AdamWConstants<T> const& c) {
    for (Index i = 0; i < size; ++i) {
      double const g = wide(gradient[i]) * wide(c.gradient_scale);
      double const m = wide(c.beta1) * wide(first[i]) + wide(c.one_minus_beta1) * g;
      double const v = wide(c.beta2) * wide(second[i]) + wide(c.one_minus_beta2) * g * g;
      double const step = m / (std::sqrt(v) * wide(c.inverse_root_correction2) + wide(c.epsilon));
      put(wide(weight[i]) * (1.0 + wide(c.minus_decay)) + wide(c.minus_step_size) * step, weight[i]);
      put(m, first[i]);
      put(v, second[i]);
    }
  }
  template <class T>
  [[nodiscard]] double sum_of_squares(T const* x, Index size) {
    double total = 0;
    for (Index i = 0; i < size; ++i) total += wide(x[i]) * wide(x[i]);
    return total;
  }

 private:
  Arena scratch_;
};

}  // namespace aeth
