/// What training reaches of a machine's peaks: measured shares, each with its source.
///
/// None is fitted to the hours that a published run took; docs/explanation/cost.md compares.
#pragma once

#include <array>
#include <string_view>

namespace aeth {

/// A number that an estimate rests on, and where it is from.
struct Assumption {
  double value = 0.0;
  std::string_view source{};
};

/// FLOPs are those of `config/model_card.hpp`: backward counts twice forward, whatever a kernel does again
/// inside.
struct TrainingRates {
  Assumption products{};       ///< share of peak of the matrix products of layers, in the plan's numbers
  Assumption wide_products{};  ///< the same of head, router and MTP projection, which stay in BF16 under FP8
  Assumption attention_forward{};   ///< share of peak of scores and weighted sums, in BF16 under FP8
  Assumption attention_backward{};  ///< the same in the backward pass
  Assumption
      operand_bytes{};  ///< bytes that all other kernels move, forward and backward, for each number that
                        ///< enters or leaves a product, at the memory's nominal bandwidth
  Assumption waits{};   ///< waiting and launching in an overlapped pair of chunks, over its computing
  Assumption links{};   ///< share of the links' nominal bandwidth
};

/// One rate, for tables and for what-if questions.
struct RateField {
  std::string_view name;
  Assumption TrainingRates::*field;
  bool is_cost;  ///< whether more of it is slower
};

inline constexpr std::array<RateField, 7> rate_fields{{
    {"products of layers, share of peak", &TrainingRates::products, false},
    {"products of head and router, share of peak", &TrainingRates::wide_products, false},
    {"attention forward, share of peak", &TrainingRates::attention_forward, false},
    {"attention backward, share of peak", &TrainingRates::attention_backward, false},
    {"bytes moved per operand by other kernels", &TrainingRates::operand_bytes, true},
    {"waits in overlapped chunks, over computing", &TrainingRates::waits, true},
    {"links, share of nominal", &TrainingRates::links, false},
}};

namespace detail {

/// DeepSeek's profile of training V3 (github.com/deepseek-ai/profile-data, train.json of 27 February 2025): a
/// forward chunk overlapped with a backward chunk, each four layers with experts and one sequence of 4,096
/// tokens, on one of 64 H800 (EP64, no tensor parallelism), 112 of 132 SMs computing and 20 sending. Seconds
/// are unions over streams, summed here from its kernels; FLOPs and operands follow from the configuration,
/// which tests/unit/config/training_rates_test.cpp checks. The profile balances experts perfectly and leaves
/// out what pipeline stages send one another.
struct TrainingProfile {
  static constexpr double wall = 129.012e-3;
  static constexpr double computing = 124.338e-3;    ///< some kernel that computes runs
  static constexpr double fp8_products = 69.258e-3;  ///< some FP8 product runs
  static constexpr double attention_forward = 4.948e-3;
  static constexpr double attention_backward = 17.017e-3;
  static constexpr double others = 33.115e-3;     ///< computing, but neither product nor attention
  static constexpr double tokens = 4.0 * 4096.0;  ///< times layers
  static constexpr double fp8_flops =
      3609853952.0;  ///< per token and layer, up-projections done again included
  static constexpr double attention_flops = 167813120.0;  ///< per token and layer, forward
  static constexpr double operands = 283712.0;            ///< per token and layer
};

}  // namespace detail

/// FP8 products with BF16 attention on Hopper accelerators, while 20 of 132 SMs communicate.
inline constexpr TrainingRates fp8_hopper_rates{
    .products = {detail::TrainingProfile::fp8_flops * detail::TrainingProfile::tokens /
                     detail::TrainingProfile::fp8_products / 1979e12,
                 "DeepSeek's training profile, all FP8 products of a chunk pair (without those of weight "
                 "gradients 48 %; forward in DeepGEMM's first tables, on all 132 SMs: 60 %)"},
    .wide_products = {0.803 * 112.0 / 132.0,
                      "a best case: the fastest BF16 product on an H100 SXM, 794.5 TFLOP/s (ml-engineering, "
                      "MAMF table), on 112 of 132 SMs (arXiv:2412.19437 §3.2.2)"},
    .attention_forward = {detail::TrainingProfile::attention_flops * detail::TrainingProfile::tokens /
                              detail::TrainingProfile::attention_forward / 989e12,
                          "DeepSeek's training profile, at a context of 4,096"},
    .attention_backward = {2.0 * detail::TrainingProfile::attention_flops * detail::TrainingProfile::tokens /
                               detail::TrainingProfile::attention_backward / 989e12,
                           "DeepSeek's training profile, scores done again not counted as work"},
    .operand_bytes =
        {detail::TrainingProfile::others * 3.35e12 /
             (detail::TrainingProfile::operands * detail::TrainingProfile::tokens),
         "DeepSeek's training profile: casts, transposes, norms, SwiGLU, permutations, additions"},
    .waits = {detail::TrainingProfile::wall / detail::TrainingProfile::computing - 1.0,
              "DeepSeek's training profile: time in which nothing computes"},
    .links = {0.8, "arXiv:2505.09343 §4.3: 160 of 200 GB/s of NVLink, 40 of 50 GB/s of InfiniBand"},
};

/// BF16 throughout on the same. Optimistic beside FP8, whose rate was measured in training and not at its best.
inline constexpr TrainingRates bf16_hopper_rates = [] {
  TrainingRates rates = fp8_hopper_rates;
  rates.products = rates.wide_products;
  return rates;
}();

/// This library's trainer on processors; the share of peak is that of a whole step, so nothing else is counted.
inline constexpr TrainingRates fp32_processor_rates = [] {
  constexpr Assumption share{0.66, "presets::mini, whole step in FP32: docs/reference/speed.md"};
  return TrainingRates{.products = share,
                       .wide_products = share,
                       .attention_forward = share,
                       .attention_backward = share,
                       .operand_bytes = {0.0, "part of the share of peak"},
                       .waits = {0.0, "part of the share of peak"},
                       .links = {1.0, "one machine has none"}};
}();

inline constexpr TrainingRates bf16_processor_rates = [] {
  constexpr Assumption share{0.53, "presets::mini, whole step in BF16: docs/reference/speed.md"};
  TrainingRates rates = fp32_processor_rates;
  rates.products = rates.wide_products = rates.attention_forward = rates.attention_backward = share;
  return rates;
}();

}  // namespace aeth
