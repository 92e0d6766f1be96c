// The selection bias moves against the load, by the sign only.
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/model/model.hpp"
#include "support/catch.hpp"

TEST_CASE("selection bias: up for idle experts, down for busy ones, still at the mean") {
  using namespace aeth;
  Cpu cpu(1);
  using TestModel = Model<presets::tiny, Fp32>;
  TestModel model(cpu);
  REQUIRE(TestModel::moe_layers() == 3);  // layers 1 and 2, and the MTP module
  REQUIRE(model.biases().rows == 3);
  std::vector<std::int64_t> load(3 * 8, 4);
  load[0] = 0;   // layer 1: expert 0 idle
  load[1] = 9;   // expert 1 busy; the sum is 33, the mean 4.125, so that the experts with 4 are below it too
  load[16] = 5;  // the MTP module: above its mean of 4.125
  model.update_biases({load.data(), 3, 8}, 0.25);
  model.update_biases({load.data(), 3, 8}, 0.25);
  auto const b = model.biases();
  CHECK(b(0, 0) == 0.5f);
  CHECK(b(0, 1) == -0.5f);
  CHECK(b(0, 2) == 0.5f);
  for (Index e = 0; e < 8; ++e) CHECK(b(1, e) == 0.0f);  // all loads equal
  CHECK(b(2, 0) == -0.5f);
  CHECK(b(2, 1) == 0.5f);
}
