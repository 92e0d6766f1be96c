/// What DeepSeek published about the cost of its models: to compare with, never to compute with.
///
/// Training DeepSeek-V3 took 2.788 million hours of H800 devices, $5.576 million at $2 per hour. A figure of
/// $300,000 goes around as the price of a DeepSeek model. It is another thing: $294,000 is what the
/// reinforcement learning that made R1 out of V3 cost. It starts from V3's finished weights and contains none
/// of their price. Training a model like R1 from nothing costs both, about $5.87 million by DeepSeek's own
/// accounting. None of these contains research, failed tries, data, staff, or the machines' purchase.
///
/// source   DeepSeek-V3, arXiv:2412.19437, Table 1; DeepSeek-R1, Nature 645, 633-638 (2025), supplement
#pragma once

namespace aeth {

/// Device hours on H800 by stage.
struct V3Hours {
  double pretraining = 2.664e6;  ///< 14.8e12 tokens: 180,000 per 1e12
  double context_extension = 0.119e6;
  double post_training = 0.005e6;

  [[nodiscard]] constexpr double total() const noexcept {
    return pretraining + context_extension + post_training;
  }
};

/// The same of R1, on top of V3's.
struct R1Hours {
  double r1_zero = 101e3;
  double sft_data = 5e3;
  double r1 = 41e3;

  [[nodiscard]] constexpr double total() const noexcept { return r1_zero + sft_data + r1; }
};

inline constexpr V3Hours published_v3_hours{};
inline constexpr R1Hours published_r1_hours{};
inline constexpr double published_dollars_per_hour = 2.0;  ///< assumed rent of an H800

/// A step of V3's pre-training as measured later on its cluster of 2,048 H800, in seconds.
///
/// source   arXiv:2505.09343, Table 4 (multi-plane network)
struct V3Step {
  double total = 19.926;
  double forward = 1.13;   ///< chunks that overlap with nothing
  double backward = 1.99;  ///< the same, of inputs
  double weight = 0.48;    ///< the same, of weights
  double overlapped = 13.95;
  double bubble = 2.06;
  double optimizer = 0.29;
};
inline constexpr V3Step published_v3_step{};

}  // namespace aeth
