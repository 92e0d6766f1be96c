/// Sorting tokens by expert: the seam that expert parallelism replaces.
///
/// legend   T tokens · K experts per token · E experts
#pragma once

#include <cstdint>

#include "aeth/core/arena.hpp"
#include "aeth/core/view.hpp"

namespace aeth::nn {

/// Where each (token, choice) goes. Rows of one expert are contiguous and in token order, so sums over an
/// expert's tokens run in the same order whatever else is in the batch.
struct Dispatch {
  VectorView<Index> first;         ///< [E+1] first row of each expert
  VectorView<std::int32_t> token;  ///< [T·K] token of each row
  MatrixView<std::int32_t> slots;  ///< [T,K] row of each (token, choice)

  void reserve(Arena& arena, Index tokens, Index top_k, Index experts) {
    first = arena.vector<Index>(experts + 1);
    token = arena.vector<std::int32_t>(tokens * top_k);
    slots = arena.matrix<std::int32_t>(tokens, top_k);
  }

  /// Counting sort of experts [T,K]; cost O(T·K + E).
  void assign(MatrixView<std::int32_t const> experts) {
    for (Index& n : first) n = 0;
    for (Index t = 0; t < experts.rows; ++t)
      for (Index k = 0; k < experts.cols; ++k) ++first[experts(t, k) + 1];
    for (Index e = 1; e < first.size; ++e) first[e] += first[e - 1];
    // first[e] walks through its rows here and is restored by the shift below.
    for (Index t = 0; t < experts.rows; ++t)
      for (Index k = 0; k < experts.cols; ++k) {
        Index const row = first[experts(t, k)]++;
        token[row] = static_cast<std::int32_t>(t);
        slots(t, k) = static_cast<std::int32_t>(row);
      }
    for (Index e = first.size - 1; e > 0; --e) first[e] = first[e - 1];
    first[0] = 0;
  }

  [[nodiscard]] Index load(Index expert) const { return first[expert + 1] - first[expert]; }
};

}  // namespace aeth::nn
