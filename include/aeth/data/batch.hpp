/// What a training step reads: rows of tokens with the tokens to predict.
#pragma once

#include <cstdint>
#include <vector>

#include "aeth/core/math.hpp"

namespace aeth::data {

/// A target that does not count: there is no next token in this document.
inline constexpr std::int32_t no_target = -1;

/// B rows of T tokens, packed row after row: token t of row b has index b·T + t.
struct Batch {
  Index rows = 0;                      ///< B
  Index length = 0;                    ///< T
  int lookahead = 1;                   ///< K = 1 + depth of multi-token prediction
  std::vector<std::int32_t> tokens;    ///< [B·T]
  std::vector<std::int32_t> targets;   ///< [K, B·T]: [k][i] is token i + k + 1 of i's document, or no_target
  std::vector<std::int32_t> segments;  ///< begins of the attention segments, ascending; the last ends at B·T

  /// Gives all vectors their sizes and empties `segments`; allocates only if a size grew.
  void resize(Index new_rows, Index new_length, int new_lookahead) {
    rows = new_rows;
    length = new_length;
    lookahead = new_lookahead;
    tokens.resize(to_size(rows * length));
    targets.resize(to_size(rows * length * lookahead));
    segments.clear();
    segments.reserve(tokens.size());
  }

  bool operator==(Batch const&) const = default;
};

/// Whether any token of a batch has a next one to predict.
[[nodiscard]] inline bool has_targets(Batch const& batch) {
  for (Index i = 0; i < batch.rows * batch.length; ++i)
    if (batch.targets[to_size(i)] >= 0) return true;
  return false;
}

}  // namespace aeth::data
