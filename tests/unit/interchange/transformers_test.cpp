// Random models that Transformers made and computed logits of (tests/oracles/transformers_models.py), loaded into aeth.
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/interchange/hugging_face.hpp"
#include "aeth/model/model.hpp"
#include "support/all_logits.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/oracle_configs.hpp"

using namespace aeth;

TEST_CASE("models that Transformers saved compute Transformers' logits", "[interchange][transformers]") {
  Cpu cpu(2);
  test::for_each_oracle_config([&]<ModelConfig C>(std::string const& name) {
    INFO(name);
    std::string const folder = std::string(AETH_TEST_DATA_DIR) + "/unit/interchange/data/" + name;
    // What Transformers saves has no MTP modules, whatever its config.json says.
    Model<with(C, [](ModelConfig& c) { c.mtp_depth = 0; }), Fp32> model(cpu);
    auto const ledger = interchange::load_hugging_face(model, folder + "/theirs");
    CHECK(ledger.size() == weight_slots(model).size());
    test::TensorFile const answers(folder + "/theirs.safetensors");
    std::vector<std::int32_t> const tokens(answers["tokens"].begin(), answers["tokens"].end());
    auto const logits = test::all_logits(model, tokens, static_cast<Index>(answers.shape("tokens")[1]));
    CHECK(test::relative_difference(logits.data(), answers["logits"]) < 1e-5);
  });
}
