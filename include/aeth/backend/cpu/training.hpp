/// Loss rows and optimizer loops of the CPU backend.
#pragma once

#include <cmath>

#include "aeth/backend/cpu/cpu.hpp"
#include "aeth/backend/sum_of_squares.hpp"

namespace aeth {

template <class T>
void Cpu::cross_entropy(MatrixView<T> logits, std::int32_t const* targets, T scale, T* loss) {
  parallel(logits.rows, [&](Index t, int) {
    T* const row = logits.row(t);
    if (targets[t] < 0) {
      loss[t] = T(0);
      if (scale != T(0))
        for (Index v = 0; v < logits.cols; ++v) row[v] = T(0);
      return;
    }
    T const target_logit = row[targets[t]];
    T const top = AETH_CPU_KERNEL(level_, T, largest, row, logits.cols);
    T const sum = AETH_CPU_KERNEL(level_, T, exponential_row, row, row, logits.cols, logits.cols, T(1), top);
    // In double: the logarithm is then the same float on every C library.
    loss[t] = static_cast<T>(std::log(static_cast<double>(sum)) +
                             (static_cast<double>(top) - static_cast<double>(target_logit)));
    if (scale != T(0)) {
      AETH_CPU_KERNEL(level_, T, scale, row, scale / sum, row, logits.cols);
      row[targets[t]] -= scale;
    }
  });
}

template <class T, class M>
void Cpu::adamw(T* weight, T const* gradient, M* first, M* second, Index size,
                AdamWConstants<T> const& constants) {
  constexpr Index chunk = 16384;
  parallel(ceil_div(size, chunk), [&](Index i, int) {
    Index const at = i * chunk;
    AETH_CPU_KERNEL(level_, T, adamw, weight + at, gradient + at, first + at, second + at,
                    min(chunk, size - at), constants);
  });
}

template <class T>
double Cpu::sum_of_squares(T const* x, Index size) {
  ArenaScope const scope(scratch_);
  Index const blocks = squares_block_count(size);
  double* const sums = scratch_.take<double>(blocks);
  parallel(ceil_div(blocks, Index{16}), [&](Index i, int) {
    for (Index b = i * 16; b < min(blocks, (i + 1) * 16); ++b) sums[b] = block_sum_of_squares(x, size, b);
  });
  double total = 0;
  for (Index b = 0; b < blocks; ++b) total += sums[b];
  return total;
}

}  // namespace aeth
