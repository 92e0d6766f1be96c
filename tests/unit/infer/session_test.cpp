#include "aeth/infer/session.hpp"

#include <cstdint>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/model/model.hpp"
#include "aeth/ops/linear.hpp"
#include "support/catch.hpp"
#include "support/tensor.hpp"

using namespace aeth;

TEST_CASE("a session that assumes tokens goes on from there, and refuses lengths it has no room for",
          "[infer]") {
  Cpu cpu(1);
  Model<presets::tiny, Fp32> model(cpu);
  model.initialize(1);
  infer::Session session(model, 1, 20);
  session.assume(0, 19);
  CHECK(session.length(0) == 19);
  std::int32_t const token = 3;
  auto const logits = session.decode({{0, {&token, 1}}});
  CHECK(session.length(0) == 20);
  CHECK(test::largest_magnitude(std::vector<float>(logits.data, logits.data + logits.cols)) > 0.0);
  CHECK_THROWS_AS(session.assume(0, 21), ShapeError);
  CHECK_THROWS_AS(session.assume(0, -1), ShapeError);
  CHECK_THROWS_AS(session.assume(1, 0), ShapeError);
}

TEST_CASE("backward of a model that does not train is refused, not read from nowhere", "[infer]") {
  Cpu cpu(1);
  Model<presets::tiny, Fp32> model(cpu);
  auto const dy = test::random_tensor<float>(1, presets::tiny.vocab_size, 1);
  test::Tensor<float> dx(1, presets::tiny.dim);
  CHECK_THROWS_AS(ops::linear(cpu, dy.view(), model.head().packed_backward(), dx.view()), UsageError);
  auto const x = test::random_tensor<float>(1, presets::tiny.dim, 2);
  CHECK_THROWS_AS(model.head().backward(cpu, dy.view(), x.view(), dx.view(), Write::overwrite), UsageError);
  test::Tensor<float> inverse(1, 1, 1.0f), d(1, presets::tiny.dim);
  CHECK_THROWS_AS(
      model.final_norm().backward(cpu, x.view(), x.view(), inverse.data(), d.view(), Write::overwrite),
      UsageError);
}

TEST_CASE("a session refuses what it cannot append, and keeps what it has", "[infer]") {
  Cpu cpu(1);
  Model<presets::tiny, Fp32> model(cpu);
  model.initialize(1);
  infer::Session session(model, 2, 8);
  std::vector<std::int32_t> const ids{5, 6, 7, 8, 9, 10, 11, 12, 13};
  auto const chunk = [&](Index sequence, Index size) {
    return infer::Chunk{sequence, VectorView<std::int32_t const>(ids.data(), size)};
  };
  session.append({chunk(0, 3)});
  CHECK_THROWS_AS(session.append({}), ShapeError);
  CHECK_THROWS_AS(session.append({chunk(0, 2), chunk(2, 1)}), ShapeError);
  CHECK_THROWS_AS(session.append({chunk(-1, 1)}), ShapeError);
  CHECK_THROWS_AS(session.append({chunk(0, 2), chunk(1, 0)}), ShapeError);
  CHECK_THROWS_AS(session.append({chunk(1, 2), chunk(0, 6)}), ShapeError);
  CHECK_THROWS_AS(session.decode({chunk(0, 1), chunk(1, 1), chunk(0, 1)}), ShapeError);
  std::int32_t const outside = presets::tiny.vocab_size;
  CHECK_THROWS_AS(session.append({chunk(0, 2), {1, {&outside, 1}}}), DataError);
  CHECK_THROWS_AS(session.truncate(0, 4), ShapeError);
  CHECK_THROWS_AS(session.truncate(2, 0), ShapeError);
  CHECK_THROWS_AS(session.length(-1), ShapeError);
  CHECK_THROWS_AS((infer::Session(model, -1, 8)), ShapeError);
  CHECK(session.length(0) == 3);
  CHECK(session.length(1) == 0);
}

TEST_CASE("a session that was cut goes on as one that never had what was cut", "[infer]") {
  Cpu cpu(2);
  Model<presets::tiny, Fp32> model(cpu);
  model.initialize(1);
  std::vector<std::int32_t> first, second;
  for (std::int32_t i = 0; i < 60; ++i) first.push_back(i % 50), second.push_back((7 * i + 3) % 50);
  auto const view = [](std::vector<std::int32_t> const& ids, Index begin, Index size) {
    return VectorView<std::int32_t const>(ids.data() + begin, size);
  };
  for (auto const form : {infer::CacheForm::latent, infer::CacheForm::expanded}) {
    infer::Session fresh(model, 1, 64, form), cut(model, 1, 64, form);
    fresh.append({{0, view(first, 0, 20)}});
    cut.append({{0, view(first, 0, 60)}});
    cut.truncate(0, 20);
    auto const bits_of = [&](infer::Session<Model<presets::tiny, Fp32>>& session) {
      auto logits = session.append({{0, view(second, 20, 9)}}, true);
      std::vector<float> out(logits.data, logits.data + logits.rows * logits.cols);
      logits = session.decode({{0, view(second, 29, 1)}});
      out.insert(out.end(), logits.data, logits.data + logits.cols);
      return out;
    };
    CHECK(test::same_bits(bits_of(fresh), bits_of(cut)));
  }
}
