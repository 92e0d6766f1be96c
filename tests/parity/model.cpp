// Whole models: the same bits with any number of threads, on every SIMD level, in any company and however a
// batch is cut; and the same numbers as on the plain reference backend.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/backend/cpu/reference.hpp"
#include "aeth/core/text.hpp"
#include "support/catch.hpp"
#include "support/golden_configs.hpp"
#include "support/odd_configs.hpp"
#include "support/training_run.hpp"

namespace {

using namespace aeth;

/// What a training step leaves behind.
template <class T>
struct Outcome {
  double loss = 0;
  std::vector<T> hidden;     ///< after the last layer
  std::vector<T> logits;     ///< of the main model and of every MTP module
  std::vector<T> gradients;  ///< of every weight
  std::vector<std::int64_t> load;
};

/// Sequences of one and several documents; one of a single token, one longer than a tile of queries.
std::vector<test::Sequence> content_for(int vocab) {
  return {test::random_sequence({5, 9}, 1, vocab), test::random_sequence({1}, 2, vocab),
          test::random_sequence({51}, 3, vocab), test::random_sequence({3, 1, 2}, 4, vocab),
          test::random_sequence({17}, 5, vocab)};
}

template <class Model>
std::vector<typename Model::Exact> logits_of(Model& model, Pass<Model> const& pass, Index tokens) {
  using T = typename Model::Exact;
  Index const vocab = Model::config.vocab_size, depths = Model::config.mtp_depth + 1;
  std::vector<T> out(to_size(depths * tokens * vocab));
  for (Index k = 0; k < depths; ++k)
    ops::linear(model.backend(), pass.normed(k), model.head().packed(),
                MatrixView<T>(out.data() + k * tokens * vocab, tokens, vocab));
  return out;
}

/// One step per part of `content`, gradients accumulating; the loss is weighted as that of one batch.
template <ModelConfig C, class P, class B>
Outcome<typename P::Exact> step(B& backend, std::vector<std::vector<test::Sequence>> const& parts,
                                double gradient_seed = 0, double bias_scale = 0.1) {
  using T = typename P::Exact;
  Model<C, P, B> model(backend);
  model.enable_gradients();
  test::randomize(model, 7, bias_scale);
  for (Index i = 0; i < model.gradients().size; ++i) model.gradients()[i] = static_cast<T>(gradient_seed);
  Pass pass(model);
  Outcome<T> out;
  out.load.resize(to_size(model.moe_layers() * C.moe.experts));
  double sequences = 0;
  for (auto const& part : parts) sequences += static_cast<double>(part.size());
  for (auto const& part : parts) {
    test::Batch const batch(part, C.mtp_depth);
    out.loss +=
        test::training_step(model, pass, batch, {.token = 0.01, .mtp = 0.3, .balance = 0.1 / sequences});
    pass.count_load({out.load.data(), model.moe_layers(), C.moe.experts});
    auto const last = pass.hidden(C.layers);
    out.hidden.insert(out.hidden.end(), last.data, last.data + last.rows * last.cols);
    auto const logits = logits_of(model, pass, batch.size());
    out.logits.insert(out.logits.end(), logits.begin(), logits.end());
  }
  out.gradients = test::to_vector(model.gradients());
  return out;
}

template <class T>
void check_same(Outcome<T> const& a, Outcome<T> const& b) {
  CHECK(a.loss == b.loss);
  CHECK(test::same_bits(a.hidden, b.hidden));
  CHECK(test::same_bits(a.logits, b.logits));
  CHECK(test::same_bits(a.gradients, b.gradients));
  CHECK(a.load == b.load);
}

template <ModelConfig C, class P>
void check_levels_and_threads() {
  auto const content = content_for(C.vocab_size);
  Cpu first(1, SimdLevel::scalar);
  auto const wanted = step<C, P>(first, {content});
  CHECK(test::largest_magnitude(wanted.gradients) > 0.0);
  for (SimdLevel const level : all_simd_levels) {
    if (level > best_simd_level()) {
      WARN("this machine has no " << to_string(level) << ": level skipped");
      continue;
    }
    for (int threads = 1; threads <= 4; ++threads) {
      INFO(to_string(level) << ", " << threads << " threads");
      Cpu cpu(threads, level);
      check_same(step<C, P>(cpu, {content}), wanted);
    }
  }
}

/// Micro-batches by whole sequences, onto gradients that are not zero.
template <ModelConfig C, class P>
void check_micro_batches() {
  Cpu cpu(2);
  auto const content = content_for(C.vocab_size);
  auto const wanted = step<C, P>(cpu, {content}, 0.125);
  for (std::vector<std::size_t> const& sizes :
       std::vector<std::vector<std::size_t>>{{1, 1, 1, 1, 1}, {2, 3}, {4, 1}, {1, 3, 1}}) {
    std::vector<std::vector<test::Sequence>> parts;
    std::size_t at = 0;
    for (std::size_t const size : sizes) {
      parts.emplace_back(content.begin() + static_cast<std::ptrdiff_t>(at),
                         content.begin() + static_cast<std::ptrdiff_t>(at + size));
      at += size;
    }
    auto const split = step<C, P>(cpu, parts, 0.125);
    INFO(sizes.size() << " micro-batches, the first of " << sizes.front());
    CHECK(test::same_bits(split.hidden, wanted.hidden));
    CHECK(test::same_bits(split.gradients, wanted.gradients));
    CHECK(split.load == wanted.load);
    CHECK(split.loss == Catch::Approx(wanted.loss).epsilon(1e-12));  // a sum of doubles in another order
  }
}

/// Each sequence's hidden states, logits and per-layer choices are the same alone as in any batch, any order.
template <ModelConfig C, class P>
void check_company() {
  using T = typename P::Exact;
  Cpu cpu(2);
  Model<C, P, Cpu> model(cpu);
  test::randomize(model, 7);
  Pass pass(model);
  auto const content = content_for(C.vocab_size);
  // Which sequences are there, in which order.
  std::vector<std::vector<std::size_t>> const batches{
      {0}, {1}, {2}, {3}, {4}, {4, 3, 2, 1, 0}, {1, 0, 1, 4}, {2, 2}, {3, 0, 2}};
  std::vector<std::vector<T>> alone(content.size());
  for (auto const& chosen : batches) {
    std::vector<test::Sequence> part;
    for (std::size_t const i : chosen) part.push_back(content[i]);
    test::Batch const batch(part, C.mtp_depth);
    std::vector<std::int32_t const*> ahead;
    pass.forward(test::pass_input<Model<C, P, Cpu>>(batch, ahead));
    auto const logits = logits_of(model, pass, batch.size());
    for (std::size_t place = 0; place < chosen.size(); ++place) {
      std::vector<T> seen;
      for (Index t = batch.sequences[place]; t < batch.sequences[place + 1]; ++t) {
        for (Index layer = 0; layer <= C.layers; ++layer)
          seen.insert(seen.end(), pass.hidden(layer).row(t), pass.hidden(layer).row(t) + C.dim);
        for (Index k = 0; k <= C.mtp_depth; ++k) {
          auto const row = logits.begin() + (k * batch.size() + t) * C.vocab_size;
          seen.insert(seen.end(), row, row + C.vocab_size);
        }
        for (int layer = 0; layer < C.layers; ++layer)
          if (C.is_moe_layer(layer))
            seen.insert(seen.end(), pass.router(layer).gates.row(t),
                        pass.router(layer).gates.row(t) + C.moe.top_k);
      }
      auto& wanted = alone[chosen[place]];
      if (wanted.empty()) wanted = seen;
      INFO("sequence " << chosen[place] << " at place " << place << " of " << chosen.size());
      CHECK(test::same_bits(seen, wanted));
    }
  }
}

/// Largest difference over the largest value: 1e-10 in double is 2^19 spacings, for chains of about 10^4 sums
/// through a few layers.
template <ModelConfig C>
void check_against_reference(std::string const& name) {
  auto const content = content_for(C.vocab_size);
  Cpu cpu(2);
  CpuReference reference;
  auto const a = step<C, Fp64>(cpu, {content});
  auto const b = step<C, Fp64>(reference, {content});
  double const logits = test::relative_difference(a.logits, b.logits);
  double const hidden = test::relative_difference(a.hidden, b.hidden);
  double worst = 0;
  Model<C, Fp64, Cpu> const names(cpu);
  for (ParameterInfo const& p : names.parameters()) {
    INFO(p.name);
    auto const part = [&](std::vector<double> const& all) {
      return std::vector<double>(all.begin() + p.offset, all.begin() + p.offset + p.size());
    };
    double const difference = test::relative_difference(part(a.gradients), part(b.gradients));
    CHECK(difference < 1e-10);
    worst = std::max(worst, difference);
  }
  CHECK(logits < 1e-10);
  CHECK(hidden < 1e-10);
  CHECK(a.loss == Catch::Approx(b.loss).epsilon(1e-10));
  CHECK(a.load == b.load);
  if (std::getenv("AETH_TEST_VERBOSE"))
    std::fprintf(stderr, "%s against reference: hidden %.1e, logits %.1e, gradients %.1e\n", name.c_str(),
                 hidden, logits, worst);
}

}  // namespace

TEST_CASE("parity: a training step has the same bits on every level and number of threads") {
  check_levels_and_threads<test::v3_mtp_tiny, Fp32>();
  check_levels_and_threads<test::odd_v3, Fp32>();
  check_levels_and_threads<test::odd_v3, Bf16>();
  check_levels_and_threads<test::odd_v3, Fp8>();
}

TEST_CASE("parity: gradients do not depend on how a batch is cut into micro-batches") {
  check_micro_batches<test::v3_mtp_tiny, Fp32>();
  check_micro_batches<test::odd_v3, Fp32>();
  check_micro_batches<test::odd_v3, Bf16>();
}

TEST_CASE("parity: a sequence has the same bits in any company") {
  check_company<test::v3_mtp_tiny, Fp32>();
  check_company<test::odd_v3, Fp32>();
  check_company<test::odd_v3, Bf16>();
  check_company<test::odd_v3, Fp8>();
}

TEST_CASE("parity: Cpu against CpuReference, whole models in double") {
  check_against_reference<test::v3_mtp_tiny>("V3, MTP");
  check_against_reference<test::odd_v3>("V3, odd sizes, two MTP modules");
  check_against_reference<test::odd_v2>("V2, odd sizes");
}

TEST_CASE("parity: BF16 gradients are finite and near those of FP32") {
  Cpu cpu(2);
  auto const content = content_for(test::odd_v3.vocab_size);
  auto const narrow = step<test::odd_v3, Bf16>(cpu, {content}, 0, 100.0);
  auto const wide = step<test::odd_v3, Fp32>(cpu, {content}, 0, 100.0);
  REQUIRE(narrow.load == wide.load);
  for (float const g : narrow.gradients) REQUIRE(std::isfinite(g));
  // The gradients of all weights as one vector. A rounding to 8 bits costs up to 2^-9 of a number; about 12
  // of them stand between a weight and the loss in each of 5 layers.
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < wide.gradients.size(); ++i) {
    double const w = static_cast<double>(wide.gradients[i]), d = static_cast<double>(narrow.gradients[i]) - w;
    difference += d * d;
    norm += w * w;
  }
  double const relative = std::sqrt(difference / norm);
  if (std::getenv("AETH_TEST_VERBOSE"))
    std::fprintf(stderr, "bf16 against fp32: gradients %.2e, loss %.2e\n", relative,
                 std::fabs(narrow.loss / wide.loss - 1));
  CHECK(relative < 0x1p-9 * 12 * 5);
  CHECK(narrow.loss == Catch::Approx(wide.loss).epsilon(0x1p-9 * 12));
}

TEST_CASE("parity: a token beyond the vocabulary is refused, here and ahead") {
  using Odd = Model<test::odd_v3, Fp32, Cpu>;
  Cpu cpu(1);
  Odd model(cpu);
  Pass pass(model);
  auto const forward = [&](std::int32_t token, std::int32_t ahead_token) {
    test::Batch batch({{{1, 2, 3}}}, 2);
    batch.tokens[1] = token;
    batch.ahead[1][0] = ahead_token;
    std::vector<std::int32_t const*> ahead;
    pass.forward(test::pass_input<Odd>(batch, ahead));
  };
  CHECK_NOTHROW(forward(60, -1));
  CHECK_THROWS_AS(forward(61, -1), DataError);
  CHECK_THROWS_AS(forward(-1, -1), DataError);
  CHECK_THROWS_AS(forward(1, 61), DataError);
}
