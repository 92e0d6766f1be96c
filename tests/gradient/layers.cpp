// Backward passes of the layers without experts, each alone, against finite differences in double.
#include <cmath>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/text.hpp"
#include "aeth/loss/language_model.hpp"
#include "aeth/nn/ffn.hpp"
#include "aeth/nn/linear.hpp"
#include "aeth/nn/mla.hpp"
#include "aeth/nn/rms_norm.hpp"
#include "aeth/nn/rotary.hpp"
#include "aeth/ops/balance_loss.hpp"
#include "aeth/ops/cross_entropy.hpp"
#include "aeth/ops/embedding.hpp"
#include "support/catch.hpp"
#include "support/layer_check.hpp"

namespace {

using namespace aeth;
using test::check_layer;
using test::random_tensor;
using test::Tensor;

struct Shape {
  Index rows, in, out;
};
constexpr Shape shapes[] = {{1, 1, 1}, {1, 7, 18}, {5, 17, 3}, {9, 33, 66}, {50, 16, 5}};

std::string named(char const* what, Shape s) {
  return text(what, " [", s.rows, ",", s.in, "] -> ", s.out);
}

}  // namespace

TEST_CASE("gradient: Linear") {
  Cpu cpu(1);
  for (Shape const s : shapes) {
    nn::Linear<Fp64, Cpu> layer(s.out, s.in);
    check_layer(
        named("Linear", s), cpu, layer, random_tensor<double>(s.rows, s.in, 1), s.out, 1,
        [&](auto x, auto y, Arena&) { return layer.forward(cpu, x, y), 0.0; },
        [&](auto dy, auto x, auto dx, Arena&) { layer.backward(cpu, dy, x, dx, Write::overwrite); });
  }
}

TEST_CASE("gradient: RmsNorm") {
  Cpu cpu(1);
  for (Shape const s : shapes) {
    // An eps that matters, and rows of different sizes.
    nn::RmsNorm<Fp64, Cpu> layer(s.in, 0.1);
    std::vector<double> inverse(to_size(s.rows));
    auto x0 = random_tensor<double>(s.rows, s.in, 2);
    for (Index t = 0; t < s.rows; ++t)
      for (Index j = 0; j < s.in; ++j) x0(t, j) *= 0.2 + static_cast<double>(t % 5);
    check_layer(
        named("RmsNorm", s), cpu, layer, x0, s.in, 2,
        [&](auto x, auto y, Arena&) { return layer.forward(cpu, x, y, inverse.data()), 0.0; },
        [&](auto dy, auto x, auto dx, Arena&) {
          layer.backward(cpu, dy, x, inverse.data(), dx, Write::overwrite);
        });
  }
}

TEST_CASE("gradient: SwiGLU feed-forward") {
  Cpu cpu(1);
  for (Shape const s : shapes) {
    nn::Ffn<Fp64, Cpu> layer(s.in, s.out);
    nn::FfnContext<Fp64> context;
    check_layer(
        named("Ffn", s), cpu, layer, random_tensor<double>(s.rows, s.in, 3), s.in, 3,
        [&](auto x, auto y, Arena& arena) {
          layer.reserve(arena, s.rows, context);
          layer.forward(cpu, x, y, context);
          return 0.0;
        },
        [&](auto dy, auto x, auto dx, Arena& arena) {
          layer.backward(cpu, dy, x, dx, Write::overwrite, context, arena);
        });
  }
}

TEST_CASE("gradient: rotation, YaRN magnitude included") {
  Cpu cpu(1);
  MlaConfig const mla{
      .heads = 3,
      .nope_dim = 5,
      .rope_dim = 6,
      .rope = {.yarn = {.factor = 4.0, .original_context = 16, .mscale = 2.0, .mscale_all_dim = 0.5}}};
  nn::RotaryTable<double> table(mla);
  table.reserve(40);
  std::vector<std::int32_t> const positions{0, 1, 2, 0, 17, 39};
  ops::RotaryView<double> const rotary{positions.data(), table.cosine(), table.sine()};
  Tensor<double> x = random_tensor<double>(6, 33, 4), y;
  Tensor<double> const slope = random_tensor<double>(6, 33, 5);
  auto const loss = [&] {
    y = x;
    ops::rotate(cpu, y.view(), 3, 6, rotary, ops::Direction::forward);
    return test::inner(slope, y);
  };
  Tensor<double> dx = slope;
  ops::rotate(cpu, dx.view(), 3, 6, rotary, ops::Direction::backward);
  test::GradientReport report("rotate");
  report.check("x", x.flat(), dx.values, loss, 200);
}

TEST_CASE("gradient: attention core") {
  Cpu cpu(1);
  struct Case {
    AttentionShape shape;
    std::vector<AttentionSpan> spans;
    Index queries, keys;
  };
  // One token; several segments; more queries than a tile; queries that continue cached keys.
  Case const cases[] = {{{1, 3, 2, 4}, {{0, 1, 0, 1}}, 1, 1},
                        {{3, 5, 4, 7}, {{0, 4, 0, 4}, {4, 1, 4, 1}, {5, 9, 5, 9}}, 14, 14},
                        {{2, 2, 2, 3}, {{0, 51, 0, 51}}, 51, 51},
                        {{2, 4, 6, 5}, {{0, 3, 0, 8}, {3, 2, 8, 2}}, 5, 10}};
  for (Case const& c : cases) {
    AttentionShape const& shape = c.shape;
    Index const h = shape.heads;
    double const scale = 0.9;
    auto q = random_tensor<double>(c.queries, h * shape.qk_dim(), 6);
    auto kv = random_tensor<double>(c.keys, h * (shape.nope_dim + shape.v_dim), 7);
    auto k_pe = random_tensor<double>(c.keys, shape.rope_dim, 8);
    Tensor<double> o(c.queries, h * shape.v_dim), shift(c.queries, h), inverse(c.queries, h);
    Tensor<double> slope = random_tensor<double>(c.queries, h * shape.v_dim, 9);
    SoftmaxStatistics<double> const statistics{shift.data(), inverse.data()};
    auto const loss = [&] {
      ops::attention(cpu, shape, scale, c.spans, q.view(), kv.view(), k_pe.view(), o.view(), statistics);
      return test::inner(slope, o);
    };
    (void)loss();
    Tensor<double> dq(q.rows, q.cols, 7.0), dkv(kv.rows, kv.cols, 7.0), dk_pe(k_pe.rows, k_pe.cols, 7.0);
    ops::attention_backward(cpu, shape, scale, c.spans, q.view(), kv.view(), k_pe.view(), o.view(),
                            statistics, slope.view(), dq.view(), dkv.view(), dk_pe.view());
    test::GradientReport report(text("attention, ", c.queries, " queries, ", c.keys, " keys"));
    report.check("q", q.flat(), dq.values, loss);
    report.check("kv", kv.flat(), dkv.values, loss);
    report.check("k_pe", k_pe.flat(), dk_pe.values, loss);
  }
}

TEST_CASE("gradient: cross entropy") {
  Cpu cpu(1);
  for (Index const vocab : {1, 2, 17, 70}) {
    Index const rows = 4;
    auto logits = random_tensor<double>(rows, vocab, 10, 2.0);
    std::vector<std::int32_t> targets = test::random_integers(rows, 11, 0, static_cast<std::int32_t>(vocab));
    targets[2] = -1;
    std::vector<double> losses(to_size(rows));
    auto const loss = [&] {
      Tensor<double> z = logits;
      ops::cross_entropy(cpu, z.view(), VectorView<std::int32_t const>(targets.data(), rows), 0.0,
                         losses.data());
      return 0.7 * (losses[0] + losses[1] + losses[2] + losses[3]);
    };
    Tensor<double> d = logits;
    ops::cross_entropy(cpu, d.view(), VectorView<std::int32_t const>(targets.data(), rows), 0.7,
                       losses.data());
    test::GradientReport report(text("cross entropy over ", vocab));
    report.check("logits", logits.flat(), d.values, loss, 300);
  }
}

TEST_CASE("gradient: output head and loss together") {
  Cpu cpu(1);
  Index const rows = 19, dim = 6, vocab = 23;
  nn::Linear<Fp64, Cpu> head(vocab, dim);
  test::LayerWeights weights(cpu, head, 50);
  auto x = random_tensor<double>(rows, dim, 12);
  auto targets = test::random_integers(rows, 13, -1, static_cast<std::int32_t>(vocab));
  targets[3] = -1;
  std::vector<double> losses(to_size(rows));
  Tensor<double> dx(rows, dim, 7.0);
  Arena arena;
  auto const run = [&](double scale) {
    loss::HeadView const view{head.packed(), head.packed_backward(), head.weight().gradient_matrix()};
    loss::language_model_loss(cpu, view, x.view(), VectorView<std::int32_t const>(targets.data(), rows),
                              scale, losses.data(), dx.view(), arena);
  };
  auto const loss = [&] {
    run(0.0);
    double sum = 0;
    for (double const l : losses) sum += 0.3 * l;
    return sum;
  };
  run(0.3);
  test::GradientReport report("output head and loss");
  report.check("x", x.flat(), dx.values, loss);
  weights.check(report, loss);
}

TEST_CASE("gradient: balance loss") {
  Cpu cpu(1);
  Index const experts = 5, tokens = 11, k = 2;
  auto scores = random_tensor<double>(tokens, experts, 14);
  for (double& s : scores.values) s = 1.0 / (1.0 + std::exp(-s));
  Tensor<std::int32_t> chosen(tokens, k);
  for (Index t = 0; t < tokens; ++t) {
    chosen(t, 0) = static_cast<std::int32_t>(t * t % 4);
    chosen(t, 1) = 4;
  }
  std::vector<Index> const sequences{0, 4, 4, 5, 11};
  VectorView<Index const> const rows(sequences.data(), 5);
  std::vector<double> losses(4);
  Tensor<double> d(tokens, experts, 7.0);
  auto const run = [&](MatrixView<double> d_scores) {
    ops::balance_loss(cpu, rows, scores.view(), chosen.view(), 0.8, losses.data(), d_scores);
    return losses[0] + losses[1] + losses[2] + losses[3];
  };
  (void)run(d.view());
  CHECK(losses[1] == 0.0);
  test::GradientReport report("balance loss");
  report.check(
      "scores", scores.flat(), d.values, [&] { return run({}); }, 100);
}

TEST_CASE("gradient: embedding") {
  Cpu cpu(1);
  auto table = random_tensor<double>(6, 5, 15);
  std::vector<std::int32_t> const tokens{3, -1, 0, 3, 5, 3};
  VectorView<std::int32_t const> const ids(tokens.data(), 6);
  auto const slope = random_tensor<double>(6, 5, 16);
  Tensor<double> y(6, 5), d(6, 5, 0.0);
  auto const loss = [&] {
    ops::embed(cpu, table.cview(), ids, y.view());
    return test::inner(slope, y);
  };
  ops::embed_backward(cpu, slope.cview(), ids, d.view());
  test::GradientReport report("embedding");
  report.check("table", table.flat(), d.values, loss, 100);
}
