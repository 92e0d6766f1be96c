/// Looking tokens up in a table.
#pragma once

#include <cstdint>

#include "aeth/core/error.hpp"
#include "aeth/core/view.hpp"

namespace aeth::ops {

/// y [T,D] = table [V,D] row of each token; a negative token gives a row of zeros. Tokens must be below V.
template <class B, class T>
void embed(B& backend, MatrixView<T const> table, VectorView<std::int32_t const> tokens, MatrixView<T> y) {
  expect<ShapeError>(tokens.size == y.rows && table.cols == y.cols, "embed: ", tokens.size,
                     " tokens and a table [", table.rows, ",", table.cols, "] for y [", y.rows, ",", y.cols,
                     "]");
  backend.embed(table, tokens.data, y);
}

/// d_table[token] += dy [T,D], tokens in order; negative tokens are skipped.
template <class B, class T>
void embed_backward(B& backend, MatrixView<T const> dy, VectorView<std::int32_t const> tokens,
                    MatrixView<T> d_table) {
  expect<ShapeError>(tokens.size == dy.rows && d_table.cols == dy.cols, "embed_backward: ", tokens.size,
                     " tokens, dy [", dy.rows, ",", dy.cols, "], table width ", d_table.cols);
  backend.embed_backward(dy, tokens.data, d_table);
}

}  // namespace aeth::ops
