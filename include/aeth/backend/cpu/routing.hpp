/// Choosing experts, moving tokens to them and back, on the CPU backend.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "aeth/backend/cpu/cpu.hpp"
#include "aeth/backend/cpu/rows.hpp"

namespace aeth {

namespace cpu {

/// Index of the largest value among those `usable` admits, the lowest index among equals; NaN counts as
/// smallest.
template <class T, class Usable>
Index arg_max(T const* values, Index size, Usable const& usable) {
  Index best = -1;
  for (Index i = 0; i < size; ++i)
    if (usable(i) &&
        (best < 0 || values[i] > values[best] || (values[best] != values[best] && values[i] == values[i])))
      best = i;
  return best;
}

/// Marks the groups a token may choose from. choice [E] are the scores that decide; kept [G].
template <class T>
void choose_groups(RoutingRule const& rule, T const* choice, T* group_score, bool* kept) {
  Index const size = rule.experts / rule.groups;
  for (Index g = 0; g < rule.groups; ++g) {
    kept[g] = rule.top_groups >= rule.groups;
    T best = -std::numeric_limits<T>::infinity(), second = best;
    for (Index i = g * size; i < (g + 1) * size; ++i) {
      if (choice[i] > best) {
        second = best;
        best = choice[i];
      } else if (choice[i] > second) {
        second = choice[i];
      }
    }
    group_score[g] = rule.group_by_top_two ? best + second : best;
  }
  if (rule.top_groups < rule.groups)
    for (Index m = 0; m < rule.top_groups; ++m)
      kept[arg_max(group_score, rule.groups, [&](Index g) { return !kept[g]; })] = true;
}

/// Marks the top_k largest values of the kept groups, the lowest index first among equals, NaN last. One walk: few
/// values are larger than the least of those found so far.
template <class T>
void take_largest(T const* values, RoutingRule const& rule, bool const* kept, bool* taken) {
  Index best[RoutingRule::max_experts];  // descending
  Index const group_size = rule.experts / rule.groups;
  Index found = 0;
  for (Index g = 0; g < rule.groups; ++g) {
    if (!kept[g]) continue;
    for (Index i = g * group_size; i < (g + 1) * group_size; ++i) {
      T const value = values[i];
      if (value != value || (found == rule.top_k && !(value > values[best[found - 1]]))) continue;
      Index at = found < rule.top_k ? found++ : found - 1;
      for (; at > 0 && value > values[best[at - 1]]; --at) best[at] = best[at - 1];
      best[at] = i;
    }
  }
  for (Index k = 0; k < found; ++k) taken[best[k]] = true;
  for (; found < rule.top_k; ++found)
    taken[arg_max(values, rule.experts, [&](Index i) { return !taken[i] && kept[i / group_size]; })] = true;
}

}  // namespace cpu

template <class T>
void Cpu::route(RoutingRule const& rule, MatrixView<T const> logits, T const* bias, MatrixView<T> scores,
                MatrixView<std::int32_t> experts, MatrixView<T> gates) {
  cpu::parallel_chunks(*this, logits.rows, cpu::rows_per_task, [&](Index first, Index last) {
    bool kept[RoutingRule::max_experts];
    bool taken[RoutingRule::max_experts];
    T choice[RoutingRule::max_experts];
    T group_score[RoutingRule::max_experts];
    for (Index t = first; t < last; ++t) {
      T const* const z = logits.row(t);
      T* const s = scores.row(t);
      if (rule.softmax) {
        T const top = AETH_CPU_KERNEL(level_, T, largest, z, rule.experts);
        T const sum =
            AETH_CPU_KERNEL(level_, T, exponential_row, s, z, rule.experts, rule.experts, T(1), top);
        for (Index i = 0; i < rule.experts; ++i) s[i] /= sum;
      } else {
        AETH_CPU_KERNEL(level_, T, sigmoid_row, s, z, rule.experts);
      }
      for (Index i = 0; i < rule.experts; ++i) {
        choice[i] = bias ? s[i] + bias[i] : s[i];
        taken[i] = false;
      }
      cpu::choose_groups(rule, choice, group_score, kept);
      cpu::take_largest(choice, rule, kept, taken);
      Index k = 0;
      T sum = T(0);
      for (Index i = 0; i < rule.experts; ++i)
        if (taken[i]) {
          experts(t, k) = static_cast<std::int32_t>(i);
          gates(t, k++) = s[i];
          sum += s[i];
        }
      for (k = 0; k < rule.top_k; ++k) {
        if (rule.normalize) gates(t, k) /= sum + T(1e-20);
        gates(t, k) *= static_cast<T>(rule.gate_scale);
      }
    }
  });
}

template <class T>
void Cpu::route_backward(RoutingRule const& rule, MatrixView<T const> scores,
                         MatrixView<std::int32_t const> experts, MatrixView<T const> d_gates,
                         MatrixView<T const> d_scores, MatrixView<T> d_logits) {
  cpu::parallel_chunks(*this, scores.rows, cpu::rows_per_task, [&](Index first, Index last) {
    T ds[RoutingRule::max_experts];
    for (Index t = first; t < last; ++t) {
      T const* const s = scores.row(t);
      for (Index i = 0; i < rule.experts; ++i) ds[i] = d_scores.data ? d_scores(t, i) : T(0);
      T const gate_scale = static_cast<T>(rule.gate_scale);
      if (rule.normalize) {
        T sum = T(0), mean = T(0);
        for (Index k = 0; k < rule.top_k; ++k) sum += s[experts(t, k)];
        sum += T(1e-20);
        for (Index k = 0; k < rule.top_k; ++k) mean = std::fma(d_gates(t, k), s[experts(t, k)] / sum, mean);
        for (Index k = 0; k < rule.top_k; ++k)
          // An explicit fma: the user's flags must not decide whether this is one rounding or two.
          ds[experts(t, k)] = std::fma(d_gates(t, k) - mean, gate_scale / sum, ds[experts(t, k)]);
      } else {
        for (Index k = 0; k < rule.top_k; ++k)
          ds[experts(t, k)] = std::fma(d_gates(t, k), gate_scale, ds[experts(t, k)]);
      }
      T inner = T(0);
      if (rule.softmax)
        for (Index i = 0; i < rule.experts; ++i) inner = std::fma(s[i], ds[i], inner);
      for (Index i = 0; i < rule.experts; ++i)
        d_logits(t, i) = rule.softmax ? s[i] * (ds[i] - inner) : ds[i] * (s[i] * (T(1) - s[i]));
    }
  });
}

template <class T>
void Cpu::balance_loss(VectorView<Index const> sequences, MatrixView<T const> scores,
                       MatrixView<std::int32_t const> experts, double weight, T* loss,
                       MatrixView<T> d_scores) {
  Index const e_count = scores.cols;
  parallel(sequences.size - 1, [&](Index b, int) {
    T mean[RoutingRule::max_experts];
    T slope[RoutingRule::max_experts];  // weight · f_i / T
    Index const first = sequences[b], last = sequences[b + 1];
    T const tokens = static_cast<T>(last - first);
    for (Index i = 0; i < e_count; ++i) mean[i] = slope[i] = T(0);
    for (Index t = first; t < last; ++t) {
      T sum = T(0);
      for (Index i = 0; i < e_count; ++i) sum += scores(t, i);
      for (Index i = 0; i < e_count; ++i) mean[i] += scores(t, i) / sum;
      for (Index k = 0; k < experts.cols; ++k) slope[experts(t, k)] += T(1);
    }
    T total = T(0);
    for (Index i = 0; i < e_count; ++i) {
      slope[i] = slope[i] * (static_cast<T>(e_count) * static_cast<T>(weight)) /
                 (static_cast<T>(experts.cols) * tokens * tokens);
      total = std::fma(slope[i], mean[i], total);
    }
    loss[b] = first == last ? T(0) : total;
    if (!d_scores.data) return;
    for (Index t = first; t < last; ++t) {
      T sum = T(0), inner = T(0);
      for (Index i = 0; i < e_count; ++i) sum += scores(t, i);
      for (Index i = 0; i < e_count; ++i) inner = std::fma(slope[i], scores(t, i) / sum, inner);
      for (Index i = 0; i < e_count; ++i) d_scores(t, i) = (slope[i] - inner) / sum;
    }
  });
}

template <class X>
void Cpu::gather(MatrixView<X const> x, std::int32_t const* rows, MatrixView<X> y) {
  cpu::parallel_chunks(*this, y.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) std::memcpy(y.row(i), x.row(rows[i]), to_size(y.cols) * sizeof(X));
  });
}

template <class X, class T>
void Cpu::combine(MatrixView<X const> expert_rows, MatrixView<std::int32_t const> slots,
                  MatrixView<T const> gates, MatrixView<T> y) {
  cpu::parallel_chunks(*this, y.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      for (Index k = 0; k < slots.cols; ++k)
        AETH_CPU_KERNEL(level_, T, add_scaled, y.row(t), gates.data ? gates(t, k) : T(1),
                        expert_rows.row(slots(t, k)), y.cols);
  });
}

template <class X, class T>
void Cpu::combine_backward(MatrixView<T const> dy, MatrixView<X const> expert_rows,
                           MatrixView<std::int32_t const> slots, MatrixView<T const> gates,
                           MatrixView<X> d_expert_rows, MatrixView<T> d_gates) {
  cpu::parallel_chunks(*this, dy.rows, cpu::rows_per_task, [&](Index first, Index last) {
    for (Index t = first; t < last; ++t)
      for (Index k = 0; k < slots.cols; ++k) {
        Index const slot = slots(t, k);
        d_gates(t, k) = AETH_CPU_KERNEL(level_, T, dot, dy.row(t), expert_rows.row(slot), dy.cols);
        AETH_CPU_KERNEL(level_, T, scale, d_expert_rows.row(slot), gates(t, k), dy.row(t), dy.cols);
      }
  });
}

}  // namespace aeth
