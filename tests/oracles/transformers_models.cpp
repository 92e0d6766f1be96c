// The half of the comparison with Transformers that aeth does; tests/oracles/transformers_models.py does the other and says
// how to run both.
//
//   aeth_transformers_models configs FOLDER   FOLDER/NAME/config.json of each configuration
//   aeth_transformers_models check FOLDER     loads FOLDER/NAME/theirs, compares its logits with FOLDER/NAME/theirs.safetensors,
//                                             and exports models of aeth's to FOLDER/NAME/ours-f32 with ours.safetensors
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/random.hpp"
#include "aeth/interchange/hugging_face.hpp"
#include "aeth/interchange/to_hugging_face.hpp"
#include "aeth/model/model.hpp"
#include "support/all_logits.hpp"
#include "support/golden.hpp"
#include "support/oracle_configs.hpp"

namespace {

using namespace aeth;

constexpr Index rows = 2, length = 24;

template <ModelConfig C>
void write_config(std::string const& folder) {
  std::filesystem::create_directories(folder);
  io::write_file_atomic(folder + "/config.json",
                        interchange::to_config_json(C, interchange::WeightType::f32));
}

/// Largest difference of logits over the largest logit. What Transformers saves has no MTP modules, whatever its
/// config.json says.
template <ModelConfig C>
double compare(std::string const& folder) {
  Cpu cpu;
  Model<with(C, [](ModelConfig& c) { c.mtp_depth = 0; }), Fp32> model(cpu);
  (void)interchange::load_hugging_face(model, folder + "/theirs");
  test::TensorFile const answers(folder + "/theirs.safetensors");
  std::vector<std::int32_t> const tokens(answers["tokens"].begin(), answers["tokens"].end());
  auto const logits = test::all_logits(model, tokens, static_cast<Index>(answers.shape("tokens")[1]));
  return test::relative_difference(logits.data(), answers["logits"]);
}

template <ModelConfig C>
void export_ours(std::string const& folder) {
  Cpu cpu;
  Model<C, Fp32> model(cpu);
  Random random(7, RandomUse::init, 1);
  for (auto const& slot : weight_slots(model))
    for (float& value : slot.values)
      value = static_cast<float>((slot.shape.size() == 1 ? 1.0 : 0.0) + random.normal() * 0.2);
  model.prepare();
  std::filesystem::remove_all(folder + "/ours-f32");
  interchange::save_hugging_face(model, nullptr, folder + "/ours-f32",
                                 {.type = interchange::WeightType::f32, .shard_bytes = 20000});
  std::vector<std::int64_t> tokens(to_size(rows * length));
  for (std::int64_t& token : tokens) token = static_cast<std::int64_t>(random.below(C.vocab_size));
  auto const logits = test::all_logits(model, {tokens.begin(), tokens.end()}, length);
  auto const size = [](Index n) { return static_cast<std::uint64_t>(n); };
  io::write_safetensors(
      folder + "/ours.safetensors",
      std::vector{io::tensor_entry<std::int64_t>("tokens", {size(rows), size(length)}, tokens),
                  io::tensor_entry<float>("logits", {size(rows), size(length), size(C.vocab_size)}, logits)});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || (argv[1] != std::string_view("configs") && argv[1] != std::string_view("check"))) {
    std::fputs("usage: aeth_transformers_models configs|check FOLDER\n", stderr);
    return 2;
  }
  int failed = 0;
  try {
    test::for_each_oracle_config([&]<ModelConfig C>(std::string const& name) {
      std::string const folder = std::string(argv[2]) + "/" + name;
      if (argv[1] == std::string_view("configs")) return write_config<C>(folder);
      double const difference = compare<C>(folder);
      std::printf("%-8s theirs in aeth: largest difference %.1e of the largest logit\n", name.c_str(),
                  difference);
      failed += difference <= 1e-4 ? 0 : 1;
      export_ours<C>(folder);
    });
  } catch (std::exception const& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return failed == 0 ? 0 : 1;
}
