/// Choosing the next token from logits.
///
/// source   top-p: Holtzman et al. 2020, arXiv:1904.09751; min-p: Nguyen et al. 2024, arXiv:2407.01082
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/random.hpp"
#include "aeth/core/view.hpp"

namespace aeth::infer {

/// Filters apply in the order top-k, top-p, min-p, each to what the one before left, at the given
/// temperature.
struct SamplerOptions {
  double temperature = 1.0;  ///< 0 = always the most likely token
  Index top_k = 0;           ///< keep the k most likely; 0 = all
  double top_p = 1.0;        ///< keep the fewest most likely tokens whose probabilities reach p
  double min_p = 0.0;        ///< keep tokens at least this share as likely as the most likely one
  std::uint64_t seed = 0;
};

/// errors   UsageError that names the field
inline void validate(SamplerOptions const& o) {
  expect<UsageError>(std::isfinite(o.temperature) && o.temperature >= 0.0 && o.temperature <= 100.0,
                     "SamplerOptions::temperature is ", o.temperature, "; give 0 (greedy) up to 100");
  expect<UsageError>(o.top_k >= 0, "SamplerOptions::top_k is ", o.top_k, "; give 0 (all) or more");
  expect<UsageError>(o.top_p > 0.0 && o.top_p <= 1.0, "SamplerOptions::top_p is ", o.top_p,
                     "; give a share above 0 and up to 1");
  expect<UsageError>(o.min_p >= 0.0 && o.min_p <= 1.0, "SamplerOptions::min_p is ", o.min_p,
                     "; give a share from 0 to 1");
}

/// Index of the largest logit, the lowest among equals.
template <class T>
[[nodiscard]] std::int32_t greedy(VectorView<T const> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// Draws tokens; a stream of its own per (seed, item), so that requests do not influence one another.
class Sampler {
 public:
  explicit Sampler(SamplerOptions const& options, std::uint64_t item = 0)
      : options_((validate(options), options)), random_(options.seed, RandomUse::sample, item) {}

  /// Only the first `usable` ids are ever drawn: a vocabulary may have more rows than the tokenizer has
  /// tokens.
  ///
  /// errors   NumericError if the largest logit is not finite or one is NaN
  template <class T>
  [[nodiscard]] std::int32_t operator()(VectorView<T const> logits, Index usable) {
    logits = logits.slice(0, min(usable, logits.size));
    expect<ShapeError>(logits.size > 0, "sampler: there is no token to choose from; give at least one logit");
    for (Index i = 0; i < logits.size; ++i)
      expect<NumericError>(!std::isnan(logits[i]), "sampler: the logit of token ", i,
                           " is not a number; the weights are damaged or training diverged");
    std::int32_t const best = greedy(logits);
    double const top = static_cast<double>(logits[best]);
    expect<NumericError>(std::isfinite(top), "sampler: the largest of ", logits.size, " logits, of token ",
                         best, ", is ", top, "; the weights are damaged or training diverged");
    if (options_.temperature == 0.0) return best;
    order_.resize(to_size(logits.size));
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<std::int32_t>(i);
    auto const likelier = [&](std::int32_t a, std::int32_t b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    };
    Index keep = options_.top_k > 0 ? min(options_.top_k, logits.size) : logits.size;
    std::partial_sort(order_.begin(), order_.begin() + keep, order_.end(), likelier);
    weights_.resize(to_size(keep));
    double total = 0.0;
    for (std::size_t i = 0; i < weights_.size(); ++i)
      total += weights_[i] = std::exp((static_cast<double>(logits[order_[i]]) - top) / options_.temperature);
    double kept = 0.0;
    Index count = 0;
    while (count < keep &&
           (count == 0 || (kept < options_.top_p * total && weights_[to_size(count)] >= options_.min_p)))
      kept += weights_[to_size(count++)];
    double draw = random_.uniform() * kept;
    for (Index i = 0; i < count; ++i)
      if ((draw -= weights_[to_size(i)]) < 0.0) return order_[to_size(i)];
    return order_[to_size(count - 1)];
  }

 private:
  SamplerOptions options_;
  Random random_;
  std::vector<std::int32_t> order_;
  std::vector<double> weights_;
};

}  // namespace aeth::infer
