/// Tables of rotary position embedding, with YaRN.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "aeth/config/model_config.hpp"
#include "aeth/core/buffer.hpp"
#include "aeth/core/math.hpp"

namespace aeth::nn {

/// YaRN's magnitude g(s, a) = 0.1 · a · ln s + 1 for s > 1. Source: DeepSeek-V3 inference code,
/// `yarn_get_mscale`.
[[nodiscard]] inline double yarn_magnitude(double factor, double a) {
  return factor <= 1.0 ? 1.0 : std::fma(0.1 * a, std::log(factor), 1.0);
}

/// Multiplier of every attention score: 1 / sqrt(N + R), times g(s, mscale_all_dim)² under YaRN.
[[nodiscard]] inline double softmax_scale(MlaConfig const& mla) {
  double const m = yarn_magnitude(mla.rope.yarn.factor, mla.rope.yarn.mscale_all_dim);
  return m * m / std::sqrt(static_cast<double>(mla.qk_dim()));
}

/// Angle per position of rotary pair i, in radians: theta^(−2i/R), interpolated by YaRN's ramp.
///
/// source   Peng et al. 2023, arXiv:2309.00071, §3.2; DeepSeek-V3 inference code, `precompute_freqs_cis`
[[nodiscard]] inline double rotary_frequency(MlaConfig const& mla, int pair) {
  YarnConfig const& yarn = mla.rope.yarn;
  double const base = std::pow(mla.rope.theta, -2.0 * pair / mla.rope_dim);
  if (yarn.factor <= 1.0) return base;
  auto const dimension_of = [&](double rotations) {
    return mla.rope_dim * std::log(yarn.original_context / (rotations * 2.0 * 3.14159265358979323846)) /
           (2.0 * std::log(mla.rope.theta));
  };
  double const low = max(std::floor(dimension_of(yarn.beta_fast)), 0.0);
  double high = min(std::ceil(dimension_of(yarn.beta_slow)), mla.rope_dim - 1.0);
  if (high == low) high += 0.001;
  double const ramp = min(max((pair - low) / (high - low), 0.0), 1.0);
  // An explicit fma, so that the user's flags change no bit.
  return std::fma(base, 1.0 - ramp, base / yarn.factor * ramp);
}

/// cos and sin per position as `Cpu::rotate` wants them, [positions, R]: each cosine twice, the sine as (−s,
/// s).
template <class T>
class RotaryTable {
 public:
  explicit RotaryTable(MlaConfig const& mla) : mla_(mla) {}

  /// Makes the tables reach `positions`; cost: rebuilds them when they must grow, to at least twice their size.
  void reserve(Index positions) {
    if (positions <= positions_) return;
    Index const size = max(Index{2} * positions_, max(positions, Index{64}));
    Index const r = mla_.rope_dim;
    Buffer<T> cosine(size * r), sine(size * r);
    YarnConfig const& yarn = mla_.rope.yarn;
    double const magnitude =
        yarn_magnitude(yarn.factor, yarn.mscale) / yarn_magnitude(yarn.factor, yarn.mscale_all_dim);
    for (Index pair = 0; pair < r / 2; ++pair) {
      double const frequency = rotary_frequency(mla_, static_cast<int>(pair));
      for (Index p = 0; p < size; ++p) {
        double const angle = static_cast<double>(p) * frequency;
        Index const at = p * r + 2 * pair;
        cosine[at] = cosine[at + 1] = static_cast<T>(std::cos(angle) * magnitude);
        sine[at + 1] = static_cast<T>(std::sin(angle) * magnitude);
        sine[at] = -sine[at + 1];
      }
    }
    // Passes and sessions hold pointers into the tables: outgrown ones stay.
    outgrown_.push_back(std::move(cosine_));
    outgrown_.push_back(std::move(sine_));
    cosine_ = std::move(cosine);
    sine_ = std::move(sine);
    positions_ = size;
  }

  [[nodiscard]] T const* cosine() const { return cosine_.data(); }
  [[nodiscard]] T const* sine() const { return sine_.data(); }

 private:
  MlaConfig mla_;
  Index positions_ = 0;
  Buffer<T> cosine_;
  Buffer<T> sine_;
  std::vector<Buffer<T>> outgrown_;
};

}  // namespace aeth::nn
