#include "aeth/interchange/hugging_face.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/interchange/hugging_face_tokenizer.hpp"
#include "aeth/interchange/to_hugging_face.hpp"
#include "aeth/model/model.hpp"
#include "support/catch.hpp"
#include "support/golden_configs.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using namespace aeth::interchange;
using Catch::Matchers::ContainsSubstring;

namespace {

using TestModel = Model<test::v3_mtp_tiny, Fp32, Cpu>;

std::string golden(char const* name) {
  return std::string(AETH_TEST_DATA_DIR) + "/golden/data/" + name;
}

template <class M>
std::vector<typename M::Master> numbers_of(M const& model) {
  std::vector<typename M::Master> out;
  for (auto const& slot : weight_slots(model)) out.insert(out.end(), slot.values.begin(), slot.values.end());
  return out;
}

/// A model whose every number is different, and of which one tensor is as large as a scale block.
constexpr ModelConfig wide = with(test::v3_mtp_tiny, [](ModelConfig& c) {
  c.dim = 136;
  c.ffn_dim = 200;
  c.moe.hidden_dim = 130;
});

template <class M>
void fill(M& model, std::uint64_t seed) {
  model.initialize(seed);
  for (Index i = 0; i < model.biases().rows * model.biases().cols; ++i)
    model.biases().data[i] = static_cast<typename M::Exact>(std::sin(static_cast<double>(i)));
}

/// The tensors of a file as entries to change and to write again.
struct Draft {
  std::deque<std::vector<std::byte>> bytes;
  std::vector<io::TensorEntry> tensors;

  explicit Draft(std::string const& path) {
    io::TensorFiles const files(path);
    for (io::StoredTensor const& t : files.tensors()) {
      bytes.emplace_back(t.size);
      files.read(t, 0, bytes.back());
      tensors.push_back({t.name, t.dtype, t.shape, bytes.back()});
    }
  }
  io::TensorEntry& at(std::string const& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](auto const& t) { return t.name == name; });
  }
  void remove(std::string const& name) {
    std::erase_if(tensors, [&](auto const& t) { return t.name == name; });
  }
  template <class T>
  void add(std::string const& name, io::TensorShape shape, std::vector<T> const& values) {
    auto const source = std::as_bytes(std::span(values));
    bytes.emplace_back(source.begin(), source.end());
    tensors.push_back({name, io::dtype_of<T>, std::move(shape), bytes.back()});
  }
  void write(std::string const& path) const { io::write_safetensors(path, tensors); }
};

template <class M>
std::string refusal(M& model, std::string const& path) {
  return test::message_of<IoError>([&] { (void)load_hugging_face(model, path); });
}

}  // namespace

TEST_CASE("the list of expected tensors is that of the model", "[interchange][expected_tensors]") {
  auto const check = [](auto const& model) {
    auto const expected = expected_tensors(std::decay_t<decltype(model)>::config);
    auto const slots = weight_slots(model);
    REQUIRE(expected.size() == slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      CHECK(expected[i].name == slots[i].name);
      CHECK(expected[i].shape() == slots[i].shape);
    }
  };
  Cpu cpu(1);
  check(Model<test::v3_mtp_tiny, Fp32>(cpu));
  check(Model<test::v2_lite_tiny, Fp32>(cpu));
  check(Model<test::v3_edge, Fp32>(cpu));
  check(Model<with(test::v3_tiny,
                   [](ModelConfig& c) {
                     c.moe = {};
                     c.mtp_depth = 2;
                   }),
              Fp32>(cpu));
}

TEST_CASE("a folder loads as the file in it does", "[interchange][hugging_face]") {
  Cpu cpu(2);
  TestModel by_file(cpu), by_folder(cpu);
  load_weights(by_file, golden("v3-mtp-tiny") + "/model.safetensors");
  Ledger const ledger = load_hugging_face(by_folder, golden("v3-mtp-tiny"));
  CHECK(numbers_of(by_file) == numbers_of(by_folder));
  CHECK(std::all_of(ledger.begin(), ledger.end(), [](auto const& line) { return line.fate == Fate::used; }));
  CHECK(ledger.size() == weight_slots(by_file).size());
  CHECK_THAT(test::message_of<ConfigError>([&] { (void)load_hugging_face(by_folder, golden("v3-tiny")); }),
             ContainsSubstring("mtp_depth is 0 there and 1 here"));
}

TEST_CASE("an export in F32 comes back byte for byte, in one file or many", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(2);
  Model<wide, Fp32> model(cpu), other(cpu);
  fill(model, 3);
  for (std::uint64_t const shard_bytes : {std::uint64_t{1} << 40, std::uint64_t{200000}, std::uint64_t{1}}) {
    std::string const path = folder.path + "/" + std::to_string(shard_bytes);
    save_hugging_face(model, nullptr, path, {.type = WeightType::f32, .shard_bytes = shard_bytes});
    fill(other, 4);
    auto const ledger = load_hugging_face(other, path);
    CHECK(numbers_of(other) == numbers_of(model));
    CHECK(std::count_if(ledger.begin(), ledger.end(),
                        [](auto const& l) { return l.fate == Fate::left_out; }) == 2);
    CHECK(other.head().packed()[0] == model.head().packed()[0]);
  }
  CHECK(io::TensorFiles(folder.path + "/200000").files().size() > 2);
  CHECK_THAT(test::message_of<IoError>([&] { save_hugging_face(model, nullptr, folder.path + "/1"); }),
             ContainsSubstring("is there already"));
}

TEST_CASE("how weights were drawn does not matter to a folder", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  Model<wide, Fp32> model(cpu);
  Model<with(wide, [](ModelConfig& c) { c.init_std = 0.5; }), Fp32> other(cpu);
  fill(model, 3);
  save_hugging_face(model, nullptr, folder.path + "/hf", {.type = WeightType::f32});
  (void)load_hugging_face(other, folder.path + "/hf");
  CHECK(numbers_of(other) == numbers_of(model));
}

TEST_CASE("an export in BF16 rounds to nearest, except the selection bias", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  Model<wide, Fp32> model(cpu), other(cpu);
  fill(model, 3);
  save_hugging_face(model, nullptr, folder.path + "/bf16", {.mtp_copies = false});
  load_hugging_face(other, folder.path + "/bf16");
  for (Index i = 0; i < model.weights().size; ++i)
    REQUIRE(other.weights()[i] == static_cast<float>(bf16(model.weights()[i])));
  for (Index i = 0; i < model.biases().rows * model.biases().cols; ++i)
    CHECK(other.biases().data[i] == model.biases().data[i]);
}

TEST_CASE("an export in FP8, read back and exported again, is the same", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  Model<wide, Fp32> model(cpu), other(cpu);
  fill(model, 3);
  for (ScaleForm const form : {ScaleForm::any, ScaleForm::power_of_two}) {
    std::string const once = folder.path + (form == ScaleForm::any ? "/a" : "/b"), twice = once + "2";
    ExportOptions const options{.type = WeightType::fp8, .scale_form = form};
    save_hugging_face(model, nullptr, once, options);
    CHECK(load_config_json(once + "/config.json").fp8);
    CHECK(load_config_json(once + "/config.json").scale_form == form);
    auto const ledger = load_hugging_face(other, once);
    CHECK_THAT(ledger_summary(ledger), ContainsSubstring("transformed: "));
    save_hugging_face(other, nullptr, twice, options);
    Draft const first(once), second(twice);
    REQUIRE(first.tensors.size() == second.tensors.size());
    // Of powers of two, several may give back all of the few values of a block at the edge.
    for (std::size_t i = 0; form == ScaleForm::any && i < first.tensors.size(); ++i) {
      INFO(first.tensors[i].name);
      CHECK(first.bytes[i] == second.bytes[i]);
    }
    fill(model, 8);
    load_hugging_face(model, twice);
    CHECK(numbers_of(model) == numbers_of(other));
  }
  io::TensorFiles const files(folder.path + "/a");
  CHECK(files.find("model.layers.0.self_attn.o_proj.weight")->dtype == io::DType::f8_e4m3);
  CHECK(files.find("model.layers.0.mlp.down_proj.weight_scale_inv")->shape == io::TensorShape{2, 2});
  for (char const* name : {"model.embed_tokens.weight", "model.layers.1.mlp.gate.weight", "model.norm.weight",
                           "model.layers.3.eh_proj.weight"})
    CHECK(files.find(name)->dtype == io::DType::bf16);
  CHECK(files.find("model.layers.1.mlp.gate.e_score_correction_bias")->dtype == io::DType::f32);
}

TEST_CASE("fused experts, scales in other types and other shards are understood",
          "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(2);
  Model<wide, Fp32> model(cpu), other(cpu);
  fill(model, 3);
  save_hugging_face(model, nullptr, folder.path + "/hf", {.type = WeightType::f32, .mtp_copies = false});
  Draft draft(folder.path + "/hf");
  auto const experts = static_cast<std::uint64_t>(wide.moe.experts),
             hidden = static_cast<std::uint64_t>(wide.moe.hidden_dim),
             dim = static_cast<std::uint64_t>(wide.dim);
  for (int layer = 1; layer <= 3; ++layer) {
    std::string const name = "model.layers." + std::to_string(layer) + ".mlp.experts.";
    std::vector<float> gate_up, down;
    for (std::uint64_t e = 0; e < experts; ++e)
      for (char const* part : {"gate_proj", "up_proj", "down_proj"}) {
        std::string const full = name + std::to_string(e) + "." + part + ".weight";
        auto const values = io::values_of<float>(draft.at(full));
        auto& to = part[0] == 'd' ? down : gate_up;
        to.insert(to.end(), values.begin(), values.end());
        draft.remove(full);
      }
    draft.add(name + "gate_up_proj", {experts, 2 * hidden, dim}, gate_up);
    draft.add(name + "down_proj", {experts, dim, hidden}, down);
  }
  draft.write(folder.path + "/fused.safetensors");
  load_hugging_face(other, folder.path + "/fused.safetensors");
  CHECK(numbers_of(other) == numbers_of(model));

  // Scales as UE8M0 in a shard of their own; the first ones of a ragged matrix differ from block to block.
  save_hugging_face(model, nullptr, folder.path + "/fp8",
                    {.type = WeightType::fp8, .scale_form = ScaleForm::power_of_two, .mtp_copies = false});
  load_hugging_face(model, folder.path + "/fp8");
  Draft codes(folder.path + "/fp8"), scales(folder.path + "/fp8");
  std::erase_if(codes.tensors, [](auto const& t) { return t.name.ends_with("_scale_inv"); });
  std::erase_if(scales.tensors, [](auto const& t) { return !t.name.ends_with("_scale_inv"); });
  for (io::TensorEntry& t : scales.tensors) {
    scales.bytes.emplace_back();
    for (float const scale : io::values_of<float>(t))
      scales.bytes.back().push_back(static_cast<std::byte>(std::ilogb(scale) + 127));
    t.dtype = io::DType::f8_e8m0;
    t.bytes = scales.bytes.back();
  }
  std::string const split = folder.path + "/split";
  std::filesystem::create_directory(split);
  codes.write(split + "/one.safetensors");
  scales.write(split + "/two.safetensors");
  io::Json index{{"weight_map", io::Json::object()}};
  for (auto const& t : codes.tensors) index["weight_map"][t.name] = "one.safetensors";
  for (auto const& t : scales.tensors) index["weight_map"][t.name] = "two.safetensors";
  io::write_file_atomic(split + "/model.safetensors.index.json", index.dump());
  std::filesystem::copy(folder.path + "/fp8/config.json", split + "/config.json");
  fill(other, 9);
  load_hugging_face(other, split);
  CHECK(numbers_of(other) == numbers_of(model));
}

TEST_CASE("heads tied to the embedding, and copies that are none", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  TestModel model(cpu), other(cpu);
  fill(model, 5);
  std::string const path = folder.path + "/hf";
  save_hugging_face(model, nullptr, path, {.type = WeightType::f32});
  Draft draft(path);
  std::string const embed = "model.layers.3.embed_tokens.weight";
  std::vector<float> changed = io::values_of<float>(draft.at(embed));
  changed.back() += 1.0f;
  draft.at(embed).bytes = std::as_bytes(std::span(changed));
  draft.write(path + "/model.safetensors");
  CHECK_THAT(refusal(other, path), ContainsSubstring(embed + "' differs from 'model.embed_tokens.weight'"));

  draft.remove(embed);
  draft.remove("model.layers.3.shared_head.head.weight");
  draft.remove("lm_head.weight");
  draft.write(path + "/model.safetensors");
  CHECK_THAT(refusal(other, path), ContainsSubstring("missing  'lm_head.weight'"));
  io::Json config = io::read_json<ConfigError>(path + "/config.json");
  config["tie_word_embeddings"] = true;
  io::write_file_atomic(path + "/config.json", config.dump());
  load_hugging_face(other, path);
  auto const size = other.embedding().size();
  CHECK(std::equal(other.weights().data, other.weights().data + size, other.head().weight().weight));
}

TEST_CASE("a model without MTP leaves a file's modules out", "[interchange][hugging_face]") {
  Cpu cpu(1);
  Model<test::v3_tiny, Fp32> model(cpu);
  auto const ledger = load_hugging_face(model, golden("v3-mtp-tiny"));
  auto const left_out = std::count_if(ledger.begin(), ledger.end(), [](auto const& line) {
    return line.fate == Fate::left_out && line.note == "of an MTP module beyond mtp_depth = 0";
  });
  CHECK(left_out == static_cast<std::ptrdiff_t>(ledger.size() - weight_slots(model).size()));
}

TEST_CASE("tensors that do not fit are all named before a weight changes", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  TestModel model(cpu);
  fill(model, 6);
  auto const before = numbers_of(model);
  Draft draft(golden("v3-mtp-tiny") + "/model.safetensors");
  draft.at("model.layers.0.mlp.up_proj.weight").name = "model.layers.0.mlp.upp_proj.weight";
  draft.at("model.norm.weight").shape = {1, 32};
  draft.at("model.layers.1.mlp.gate.weight").dtype = io::DType::i32;
  draft.add<float>("model.layers.77.extra", {1}, {1.0f});
  draft.at("model.layers.2.self_attn.o_proj.weight") = {"model.layers.2.self_attn.o_proj.weight",
                                                        io::DType::f8_e4m3,
                                                        {32, 64},
                                                        std::span(draft.bytes[0]).first(2048)};
  draft.at("model.layers.1.input_layernorm.weight") = {
      "model.layers.1.input_layernorm.weight", io::DType::f8_e4m3, {32}, std::span(draft.bytes[0]).first(32)};
  draft.add<float>("model.layers.1.input_layernorm.weight_scale_inv", {1}, {1.0f});
  std::string const path = folder.path + "/bad.safetensors";
  draft.write(path);
  std::string const message = refusal(model, path);
  for (char const* part :
       {"missing  'model.layers.0.mlp.up_proj.weight' (like 'model.layers.0.mlp.upp_proj.weight')",
        "'model.norm.weight' has shape [1, 32], the model needs [32]", "has type I32; F64, F32",
        "unknown  'model.layers.77.extra'", "has type F8_E4M3, but there are no scales",
        "'model.layers.1.input_layernorm.weight' has type F8_E4M3, which only matrices have"})
    CHECK_THAT(message, ContainsSubstring(part));
  CHECK(numbers_of(model) == before);
}

TEST_CASE("values that are not finite are named, or allowed", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(2);
  TestModel model(cpu);
  Draft draft(golden("v3-mtp-tiny") + "/model.safetensors");
  io::TensorEntry& t = draft.at("model.layers.1.mlp.experts.3.down_proj.weight");
  std::vector<float> values = io::values_of<float>(t);
  values[100] = std::numeric_limits<float>::quiet_NaN();
  t.bytes = std::as_bytes(std::span(values));
  std::string const path = folder.path + "/nan.safetensors";
  draft.write(path);
  CHECK_THAT(refusal(model, path), ContainsSubstring("experts.3.down_proj.weight' holds nan at index 100"));
  CHECK(model.weights()[0] == 0.0f);
  CHECK_NOTHROW(load_hugging_face(model, path, {.allow_nonfinite = true}));
  CHECK_THAT(test::message_of<NumericError>([&] { save_hugging_face(model, nullptr, folder.path + "/x"); }),
             ContainsSubstring("experts.3.down_proj.weight holds a value that is not finite at index 100"));
  CHECK_FALSE(std::filesystem::exists(folder.path + "/x"));
}

TEST_CASE("a value that is not finite ends the reading of a large model", "[interchange][read_tensors]") {
  constexpr Index rows = 4096, columns = 8192;  // 128 MiB: many more pieces than are read ahead
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/large.safetensors";
  std::vector<float> values(rows * columns, 1.0F);
  std::size_t const bad = values.size() / 2 + 7;
  values[bad] = std::numeric_limits<float>::infinity();
  io::write_safetensors(path, std::vector{io::tensor_entry<float>("w", {rows, columns}, values)});
  io::TensorFiles const files(path);
  TensorPlan plan;
  plan.expected.push_back({.name = "w", .rows = rows, .cols = columns});
  plan.sources.push_back({.tensor = files.find("w")});
  Cpu cpu(3);
  std::vector<float> out(values.size());
  std::vector<float*> const destinations{out.data()};
  auto const read = [&](bool allow) {
    read_tensors<float>(cpu, files, plan, std::span<float* const>(destinations), allow, [](std::size_t) {});
  };
  CHECK_THAT(test::message_of<IoError>([&] { read(false); }),
             ContainsSubstring(text("holds inf at index ", bad)));
  read(true);
  CHECK(out == values);
}

TEST_CASE("numbers that BF16 cannot hold are not exported in it", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  TestModel model(cpu);
  fill(model, 8);
  model.weights()[3] = std::numeric_limits<float>::max();
  CHECK_THAT(test::message_of<NumericError>([&] { save_hugging_face(model, nullptr, folder.path + "/x"); }),
             ContainsSubstring("beyond the range of the stored type"));
  CHECK_NOTHROW(save_hugging_face(model, nullptr, folder.path + "/x", {.type = WeightType::f32}));
}

TEST_CASE("names of shards have five digits, or as many as they need", "[interchange][hugging_face]") {
  CHECK(interchange::detail::shard_name(0, 1) == "model.safetensors");
  CHECK(interchange::detail::shard_name(1, 163) == "model-00002-of-00163.safetensors");
  CHECK(interchange::detail::shard_name(99'999, 100'001) == "model-100000-of-100001.safetensors");
}

TEST_CASE("an export's path may end with slashes", "[interchange][hugging_face]") {
  test::TemporaryFolder const folder;
  Cpu cpu(1);
  TestModel model(cpu), other(cpu);
  fill(model, 7);
  save_hugging_face(model, nullptr, folder.path + "/out//", {.type = WeightType::f32});
  (void)load_hugging_face(other, folder.path + "/out/");
  CHECK(numbers_of(other) == numbers_of(model));
  CHECK(folder.entries() == 1);
}

TEST_CASE("a folder's tokenizer_config.json says what stands around a text", "[interchange][tokenizer]") {
  test::TemporaryFolder const folder;
  data::BpeTrainer trainer;
  trainer.add("int main() {}\n");
  data::Vocabulary vocabulary = trainer.train({.vocab_size = 270}).vocabulary();
  CHECK(vocabulary.before == std::vector<std::int32_t>{0});
  vocabulary.before.clear();
  data::save_tokenizer_json(data::Tokenizer(vocabulary), folder.path + "/tokenizer.json");
  CHECK(load_hugging_face_tokenizer(folder.path).vocabulary() == vocabulary);
  auto const with_config = [&](std::string const& content) {
    io::write_file_atomic(folder.path + "/tokenizer_config.json", content);
    return load_hugging_face_tokenizer(folder.path).vocabulary();
  };
  CHECK(with_config("{\"add_bos_token\":false}") == vocabulary);
  std::string const bos(data::special::bos), eos(data::special::eos);
  auto const both = with_config(text("{\"add_bos_token\":true,\"bos_token\":{\"content\":\"", bos,
                                     "\"},\"add_eos_token\":true,\"eos_token\":\"", eos, "\"}"));
  CHECK(both.before == std::vector<std::int32_t>{0});
  CHECK(both.after == std::vector<std::int32_t>{1});
  CHECK_THAT(test::message_of<DataError>([&] { (void)with_config("{\"add_bos_token\":true}"); }),
             ContainsSubstring("there is no bos_token"));
  CHECK_THAT(
      test::message_of<DataError>([&] { (void)with_config("{\"add_bos_token\":true,\"bos_token\":\"x\"}"); }),
      ContainsSubstring("no added token"));
}
