/// Logits of every position of a batch, by the training forward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "aeth/model/pass.hpp"
#include "aeth/ops/linear.hpp"

namespace aeth::test {

/// tokens [rows·length] → [rows·length, V]
template <class M>
[[nodiscard]] std::vector<typename M::Exact> all_logits(M const& model,
                                                        std::vector<std::int32_t> const& tokens,
                                                        Index length) {
  Index const size = static_cast<Index>(tokens.size());
  std::vector<Index> offsets;
  for (Index at = 0; at <= size; at += length) offsets.push_back(at);
  Pass pass(model);
  pass.forward({{tokens.data(), size}, &offsets, &offsets});
  std::vector<typename M::Exact> logits(to_size(size * M::config.vocab_size));
  ops::linear(model.backend(), pass.normed(), model.head().packed(),
              MatrixView<typename M::Exact>(logits.data(), size, M::config.vocab_size));
  return logits;
}

}  // namespace aeth::test
