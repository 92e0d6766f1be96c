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
}
