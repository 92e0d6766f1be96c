// A model that has given up its master weights infers as before and refuses everything else.
#include <cstdint>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/model/model.hpp"
#include "support/catch.hpp"
#include "support/odd_configs.hpp"
#include "support/tensor.hpp"
#include "support/training_run.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;

TEMPLATE_TEST_CASE("a model without master weights infers as before and can do nothing else", "[model]", Fp32,
                   Bf16) {
  Cpu cpu(1);
  Model<test::odd_v3, TestType> model(cpu);
  test::randomize(model, 7);
  auto const tokens = test::random_integers(20, 1, 0, test::odd_v3.vocab_size);
  auto const logits = [&] {
    infer::Session session(model, 1, 20);
    auto const prompt = session.append({{0, {tokens.data(), 19}}}, true);
    std::vector<float> all(prompt.data, prompt.data + prompt.rows * prompt.cols);
    auto const last = session.decode({{0, {tokens.data() + 19, 1}}});
    all.insert(all.end(), last.data, last.data + last.cols);
    return all;
  };
  auto const wanted = logits();
  bool const trained = GENERATE(false, true);
  if (trained) model.enable_gradients();
  model.release_masters();
  model.release_masters();
  CHECK(test::same_bits(logits(), wanted));
  CHECK(model.gradients().size == 0);
  CHECK_THROWS_WITH(model.weights(), ContainsSubstring("release_masters"));
  CHECK_THROWS_AS(model.prepare(), UsageError);
  CHECK_THROWS_AS(model.initialize(1), UsageError);
  CHECK_THROWS_AS(model.enable_gradients(), UsageError);
}
