#include "aeth/model/weights.hpp"

#include <cmath>
#include <deque>
#include <limits>
#include <span>
#include <stdexcept>

#include "aeth/backend/cpu.hpp"
#include "aeth/model/model.hpp"
#include "support/catch.hpp"
#include "support/golden_configs.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;

namespace {

using TestModel = Model<test::v3_mtp_tiny, Fp32, Cpu>;

std::string golden_path() {
  return std::string(AETH_TEST_DATA_DIR) + "/golden/data/v3-mtp-tiny/model.safetensors";
}

/// Everything of a model that is stored, and what is derived from it.
std::vector<float> numbers_of(TestModel const& model) {
  std::vector<float> out;
  for (auto const& slot : weight_slots(model)) out.insert(out.end(), slot.values.begin(), slot.values.end());
  out.push_back(model.head().packed()[0]);
  return out;
}

/// A changed copy of the golden file.
struct Variant {
  io::SafetensorsFile file{golden_path()};
  std::vector<io::TensorEntry> tensors{file.tensors()};
  std::deque<std::vector<float>> added;

  io::TensorEntry& at(std::string const& name) {
    for (io::TensorEntry& t : tensors)
      if (t.name == name) return t;
    throw std::runtime_error(name);
  }
  void remove(std::string const& name) {
    std::erase_if(tensors, [&](io::TensorEntry const& t) { return t.name == name; });
  }
  void add(std::string const& name, io::TensorShape const& shape) {
    added.emplace_back(*io::element_count(shape), 1.0F);
    tensors.push_back(io::tensor_entry<float>(name, shape, added.back()));
  }
};

}  // namespace

TEST_CASE("weights are saved and loaded bit for bit", "[model][weights]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.safetensors";
  Cpu cpu(1);
  TestModel model(cpu), other(cpu);
  model.initialize(7);
  for (Index row = 0; row < model.biases().rows; ++row)
    for (Index e = 0; e < model.biases().cols; ++e) model.biases()(row, e) = static_cast<float>(row - e) / 8;
  save_weights(model, path, {{"note", "test"}});
  io::SafetensorsFile const file(path);
  CHECK(file.metadata().at("note") == "test");
  CHECK(file.metadata().at("format") == "pt");
  CHECK(file.metadata().at("aeth.config").size() == 16);
  CHECK(file.at("model.norm.weight").shape == io::TensorShape{32});
  CHECK(file.at("lm_head.weight").shape == io::TensorShape{96, 32});
  CHECK(file.at("model.layers.1.mlp.gate.e_score_correction_bias").shape == io::TensorShape{16});
  load_weights(other, path);
  CHECK(numbers_of(other) == numbers_of(model));
  std::string const once = io::read_file(path);
  save_weights(other, path, {{"note", "test"}});
  CHECK(io::read_file(path) == once);
  CHECK_THAT(test::message_of<UsageError>([&] {
               save_weights(model, path, {{"aeth.config", "x"}});
             }),
             ContainsSubstring("written by the library"));
}

TEST_CASE("files of the reference model load, with the copies that released files have", "[model][weights]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  TestModel model(cpu), other(cpu);
  load_weights(model, golden_path());
  io::SafetensorsFile const file(golden_path());
  CHECK(io::values_of<float>(file.at("model.embed_tokens.weight"))[5] == model.weights()[5]);
  CHECK(io::values_of<float>(file.at("model.layers.3.mlp.gate.e_score_correction_bias"))[2] ==
        model.biases()(2, 2));
  CHECK(file.tensors().size() == weight_slots(model).size());

  Variant variant;
  variant.add("model.layers.3.embed_tokens.weight", {96, 32});
  variant.add("model.layers.3.shared_head.head.weight", {96, 32});
  variant.add("model.layers.0.self_attn.rotary_emb.inv_freq", {4});
  assign_weights(other, variant.tensors, "variant");
  CHECK(numbers_of(other) == numbers_of(model));
  variant.add("model.layers.2.embed_tokens.weight", {96, 32});  // no MTP module
  variant.tensors[variant.tensors.size() - 3].shape = {32, 96};
  CHECK_THAT(test::message_of<IoError>([&] { assign_weights(other, variant.tensors, "variant"); }),
             ContainsSubstring("unknown  'model.layers.2.embed_tokens.weight'") &&
                 ContainsSubstring(
                     "'model.layers.3.shared_head.head.weight' has shape [32, 96], the model has [96, 32]"));
}

TEST_CASE("all names and shapes that do not fit come in one message, and nothing is changed",
          "[model][weights]") {
  Cpu cpu(1);
  TestModel model(cpu);
  model.initialize(1);
  auto const before = numbers_of(model);
  Variant variant;
  variant.at("lm_head.weight").name = "lm_head.weights";
  variant.remove("model.layers.1.mlp.experts.3.up_proj.weight");
  variant.add("optimizer.step", {1});
  variant.at("model.norm.weight").shape = {1, 32};
  variant.at("model.embed_tokens.weight").dtype = io::DType::i32;
  std::string const message =
      test::message_of<IoError>([&] { assign_weights(model, variant.tensors, "w.safetensors"); });
  CHECK_THAT(message, ContainsSubstring("w.safetensors: 2 missing, 2 unknown, 2 unfit tensors") &&
                          ContainsSubstring("missing  'lm_head.weight' (like 'lm_head.weights')") &&
                          ContainsSubstring("missing  'model.layers.1.mlp.experts.3.up_proj.weight'") &&
                          ContainsSubstring("unknown  'lm_head.weights' (like 'lm_head.weight')") &&
                          ContainsSubstring("unknown  'optimizer.step'\n") &&
                          ContainsSubstring("'model.norm.weight' has shape [1, 32], the model has [32]") &&
                          ContainsSubstring("'model.embed_tokens.weight' has type I32"));
  CHECK(numbers_of(model) == before);
}

TEST_CASE("row 10: values that are not finite need permission", "[model][weights]") {
  Cpu cpu(1);
  TestModel model(cpu);
  model.initialize(1);
  auto const before = numbers_of(model);
  std::string const name = "model.layers.0.mlp.up_proj.weight";
  for (float const bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Variant variant;
    auto values = io::values_of<float>(variant.at(name));
    values[77] = bad;
    variant.at(name).bytes = std::as_bytes(std::span(values));
    CHECK_THAT(test::message_of<IoError>([&] { assign_weights(model, variant.tensors, "w"); }),
               ContainsSubstring("tensor '" + name + "' holds " + text(bad) + " at index 77"));
    CHECK(numbers_of(model) == before);
  }
  std::vector<double> wide(5000, 1.0);
  wide[4999] = 1e300;  // finite, but not as F32
  std::vector<float> out(5000);
  std::vector<WeightSlot<float>> const slots{{"t", {5000}, out}};
  std::vector const source{io::tensor_entry<double>("t", {5000}, wide)};
  CHECK_THAT(test::message_of<IoError>([&] { fill_slots(slots, source, {}, "w", false); }),
             ContainsSubstring("tensor 't' holds inf at index 4999, as F32"));
  fill_slots(slots, source, {}, "w", true);
  CHECK(std::isinf(out[4999]));
}

TEST_CASE("every floating-point type is converted to the master type", "[model][weights]") {
  std::vector<double> const f64{1.0, -0.1};
  std::vector<float> const f32{1.0F, -0.1F};
  std::vector<bf16> const b16{bf16(1.0F), bf16(-0.1F)};
  std::vector<f16> const h16{f16{0x3C00}, f16{0xAE66}};
  std::vector const sources{io::tensor_entry<double>("a", {2}, f64), io::tensor_entry<float>("b", {2}, f32),
                            io::tensor_entry<bf16>("c", {2}, b16), io::tensor_entry<f16>("d", {2}, h16)};
  std::vector<float> single(8);
  std::vector<double> exact(8);
  auto const slots = [](auto& out) {
    std::vector<WeightSlot<typename std::decay_t<decltype(out)>::value_type>> all;
    for (std::size_t i = 0; i < 4; ++i)
      all.push_back({std::string(1, static_cast<char>('a' + i)), {2}, {out.data() + 2 * i, 2}});
    return all;
  };
  fill_slots(slots(single), sources, {}, "w", false);
  fill_slots(slots(exact), sources, {}, "w", false);
  CHECK(single ==
        std::vector<float>{1.0F, -0.1F, 1.0F, -0.1F, 1.0F, -0.10009765625F, 1.0F, -0.0999755859375F});
  CHECK(exact[1] == -0.1);
  CHECK(exact[3] == static_cast<double>(-0.1F));
}

TEST_CASE("a file of another configuration is refused with the fields that differ", "[model][weights]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.safetensors";
  constexpr ModelConfig other = with(test::v3_mtp_tiny, [](ModelConfig& c) {
    c.mla.rope.theta = 50000;
    c.moe.scoring = Scoring::softmax;
  });
  Cpu cpu(1);
  TestModel model(cpu);
  model.initialize(1);
  io::Metadata notes;
  add_config_notes(notes, other);
  io::write_safetensors(path, weight_entries(model), notes);
  CHECK_THAT(test::message_of<ConfigError>([&] { load_weights(model, path); }),
             ContainsSubstring(path) &&
                 ContainsSubstring("\n  mla.rope.theta is 50000 there and 10000 here") &&
                 ContainsSubstring(
                     "\n  moe.scoring is aeth::Scoring::softmax there and aeth::Scoring::sigmoid here") &&
                 !ContainsSubstring("init_std"));
  load_weights(model, path, {.allow_other_config = true});
  io::write_safetensors(path, weight_entries(model), {{"aeth.config", "0123"}});
  CHECK_THAT(test::message_of<ConfigError>([&] { load_weights(model, path); }), ContainsSubstring("'0123'"));
}

TEST_CASE("every field of a configuration has a path", "[model][config]") {
  auto const fields = detail::described_fields(describe(test::v3_edge));
  CHECK(fields.size() == 8 + 7 + 1 + 6 + 11 + 2);
  CHECK(fields.at("vocab_size") == "100");
  CHECK(fields.at("mla.rope.yarn.factor") == "8");
  CHECK(fields.at("moe.gate_scale") == "2.5");
  CHECK(fields.at("mtp_input") == "aeth::MtpInput::post_norm");
  CHECK(differing_fields(describe(test::v3_edge), describe(test::v3_edge)).empty());
  CHECK(differing_fields("", "aeth::ModelConfig{\n .a = 1,\n}") ==
        std::vector<std::string>{"a is not given there and 1 here"});
  for (std::string const junk : {".", ". = ", ". = {", "}.a = {.b = ", ". = . = . = }}}", ".a = \n.b"})
    (void)differing_fields(junk, junk);
}
