/// What prefill and decoding must compute and read at least: the FLOPs of config/model_card.hpp (matrix products
/// only, attention in the expanded form), and each weight and cached latent that a step needs once.
#pragma once

#include "aeth/config/model_card.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/core/math.hpp"

namespace bench {

struct InferenceWork {
  double flop = 0, bytes = 0;
};

/// A prompt of `length` tokens, logits of its last one. Its bytes are not counted: operands are used often.
template <aeth::ModelConfig C>
[[nodiscard]] InferenceWork prefill_work(aeth::Index length) {
  double const n = static_cast<double>(length), head = 2.0 * C.vocab_size * C.dim;
  return {n * (aeth::forward_flops_per_token(C, (n + 1) / 2) - head) + head, 0};
}

/// One more token for each of `batch` sequences, over `keys` tokens each, in the storage types of the policy.
/// Different tokens choose different experts: of E, E · (1 − (1 − K/E)^batch) are expected to be needed.
template <aeth::ModelConfig C, class P>
[[nodiscard]] InferenceWork decode_work(aeth::Index batch, double keys) {
  auto const once = aeth::count_activated(C);
  // The head is in WideWeight, the router never narrowed. So are the weights of absorbed attention in FP8 where blocks of
  // 128 rows do not end with heads.
  bool const codes = C.mla.nope_dim % 128 == 0 && C.mla.v_dim % 128 == 0;
  aeth::Index const up = aeth::Index{C.layers} * C.mla.heads * (C.mla.nope_dim + C.mla.v_dim) * C.mla.kv_rank,
                    wide = once.head + (codes ? 0 : up), exact = once.router;
  double narrow = static_cast<double>(once.total() - once.embedding - once.experts - wide - exact);
  if (C.moe.experts > 0) {
    double untouched = 1;
    for (aeth::Index i = 0; i < batch; ++i) untouched *= 1.0 - double(C.moe.top_k) / C.moe.experts;
    narrow += static_cast<double>(aeth::count_parameters(C).experts) * (1.0 - untouched);
  }
  double const weights = narrow * sizeof(typename P::Weight) +
                         static_cast<double>(wide) * sizeof(typename P::WideWeight) +
                         static_cast<double>(exact) * sizeof(typename P::Exact);
  double const n = static_cast<double>(batch);
  double const cache = static_cast<double>(
      aeth::mla_cache_bytes_per_token(C, static_cast<aeth::Index>(sizeof(typename P::Activation))));
  return {n * aeth::forward_flops_per_token(C, keys), weights + n * keys * cache};
}

}  // namespace bench
