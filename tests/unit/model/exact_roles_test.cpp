// Under BF16, what the policy calls exact stays FP32: embeddings, norm gains, the router's weights, logits, scores,
// gates and biases. Everything else is read as rounded.
#include <type_traits>
#include <utility>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/model/model.hpp"
#include "aeth/model/pass.hpp"
#include "support/catch.hpp"
#include "support/odd_configs.hpp"
#include "support/training_run.hpp"

namespace {

using namespace aeth;
using TestModel = Model<test::odd_v3, Bf16>;
constexpr ModelConfig C = TestModel::config;

static_assert(std::is_same_v<decltype(nn::RouterContext<Bf16>::scores), MatrixView<float>>);
static_assert(std::is_same_v<decltype(nn::RouterContext<Bf16>::gates), MatrixView<float>>);
static_assert(std::is_same_v<decltype(std::declval<TestModel&>().biases()), MatrixView<float>>);

struct Seen {
  std::vector<std::vector<float>> scores;  ///< of each layer with experts
  std::vector<float> logits;               ///< of the main model and each MTP module
};

Seen forward(TestModel& model) {
  test::Batch const batch({test::random_sequence({40, 9}, 1, C.vocab_size)}, C.mtp_depth);
  std::vector<std::int32_t const*> ahead;
  Pass pass(model);
  pass.forward(test::pass_input<TestModel>(batch, ahead));
  Seen seen;
  auto const append = [](std::vector<float>& to, MatrixView<float> x) {
    to.insert(to.end(), x.data, x.data + x.rows * x.cols);
  };
  for (int layer = 0; layer < C.layers; ++layer)
    if (C.is_moe_layer(layer)) append(seen.scores.emplace_back(), pass.router(layer).scores);
  test::Tensor<float> logits(batch.size(), C.vocab_size);
  for (Index depth = 0; depth <= C.mtp_depth; ++depth) {
    model.head().forward(model.backend(), pass.normed(depth), logits.view());
    append(seen.logits, logits.view());
  }
  return seen;
}

/// Forward with f applied to each weight of one tensor, which is restored afterwards.
template <class F>
Seen forward_with(TestModel& model, ParameterInfo const& p, F const& f) {
  auto const tensor = model.weights().slice(p.offset, p.size());
  std::vector<float> const before = test::to_vector(tensor);
  for (float& w : tensor) w = f(w);
  model.prepare();
  Seen seen = forward(model);
  for (Index i = 0; i < tensor.size; ++i) tensor[i] = before[to_size(i)];
  model.prepare();
  return seen;
}

}  // namespace

TEST_CASE("bf16: rounding a tensor beforehand shows exactly where the policy keeps it exact", "[model]") {
  Cpu cpu(1);
  TestModel model(cpu);
  test::randomize(model, 7);
  Seen const wanted = forward(model);
  unsigned exact = 0, narrowed = 0;
  for (ParameterInfo const& p : model.parameters()) {
    INFO(p.name);
    bool const is_exact = p.kind == nn::ParameterKind::norm || p.kind == nn::ParameterKind::router ||
                          p.kind == nn::ParameterKind::embedding;
    Seen const seen = forward_with(model, p, [](float w) { return static_cast<float>(bf16(w)); });
    CHECK(test::same_bits(seen.logits, wanted.logits) == !is_exact);
    ++(is_exact ? exact : narrowed);
  }
  CHECK(exact > 0);
  CHECK(narrowed > 0);
}

TEST_CASE("bf16: a router's logits and scores are never rounded", "[model]") {
  Cpu cpu(1);
  TestModel model(cpu);
  test::randomize(model, 7);
  Seen const wanted = forward(model);
  std::size_t layer = 0;
  for (ParameterInfo const& p : model.parameters()) {
    if (p.kind != nn::ParameterKind::router || layer == wanted.scores.size()) continue;
    INFO(p.name);
    // A change of 2^-18 moves a score by a dozen spacings of FP32; rounded to BF16, 99 in 100 logits would hide
    // it.
    Seen const seen = forward_with(model, p, [](float w) { return w * (1.0f + 0x1p-18f); });
    std::vector<float> const &before = wanted.scores[layer], &after = seen.scores[layer];
    std::size_t moved = 0, wide = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      moved += before[i] != after[i] ? 1u : 0u;
      wide += static_cast<float>(bf16(before[i])) != before[i] ? 1u : 0u;
    }
    CHECK(moved > before.size() * 3 / 4);
    CHECK(wide > before.size() * 3 / 4);
    ++layer;
  }
  CHECK(layer == 2);
}
