// Whole models through GGUF files: names, layouts, configurations and tokenizers. Rows of the fault table: 18, 19.
#include "aeth/interchange/gguf.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/model/model.hpp"
#include "support/catch.hpp"
#include "support/golden_configs.hpp"
#include "support/odd_configs.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using namespace aeth::interchange;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr ModelConfig with_mtp = test::v3_mtp_tiny;

/// Rows of 32 and others, one dense layer, all sizes of a head different.
constexpr ModelConfig wide{
    .vocab_size = 300,
    .dim = 64,
    .layers = 2,
    .dense_layers = 1,
    .ffn_dim = 96,
    .max_context = 64,
    .mla = {.heads = 2, .kv_rank = 32, .nope_dim = 12, .rope_dim = 6, .v_dim = 10},
    .moe = {.experts = 4, .shared = 1, .top_k = 2, .hidden_dim = 24, .gate_scale = 1.4},
};

/// A model whose numbers are all different and not what initialize() makes of norms and biases.
template <class M>
void fill(M& model) {
  model.initialize(7);
  Random random(3, RandomUse::init, 1);
  for (auto& slot : weight_slots(model))
    for (auto& v : slot.values) v += static_cast<float>(random.normal()) / 8;
  model.prepare();
}

/// All numbers but those of MTP modules.
template <class M>
std::vector<float> numbers_of(M const& model) {
  std::vector<float> out;
  std::string const first_mtp = text("model.layers.", M::config.layers);
  for (auto const& slot : weight_slots(model))
    if (!slot.name.starts_with(first_mtp)) out.insert(out.end(), slot.values.begin(), slot.values.end());
  return out;
}

template <ModelConfig C>
void check_round_trip() {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  Cpu cpu(1);
  Model<C, Fp32> model(cpu), other(cpu);
  fill(model);
  save_gguf(model, path);
  other.initialize(8);
  load_gguf(other, path);
  CHECK(numbers_of(other) == numbers_of(model));
  CHECK(other.head().packed()[0] == model.head().packed()[0]);
  std::string const once = io::read_file(path);
  save_gguf(other, path);
  CHECK(io::read_file(path) == once);
}

data::Tokenizer tokenizer_of(int size) {
  data::BpeTrainer trainer;
  trainer.add("int main() { return 0; }\n  // żółw 12345 漢字 int main int main return return\n");
  return trainer.train({.vocab_size = size});
}

io::GgufMetadata changed(io::GgufMetadata metadata, std::string const& key, io::GgufValue value) {
  metadata[key] = std::move(value);
  return metadata;
}

std::string config_error(io::GgufMetadata const& metadata, ModelConfig const& config = test::v3_tiny) {
  return test::message_of<ConfigError>([&] { expect_gguf_config(metadata, config, "model.gguf"); });
}

}  // namespace

TEST_CASE("models come back from GGUF files bit for bit", "[interchange][gguf]") {
  check_round_trip<with_mtp>();
  check_round_trip<test::v2_lite_tiny>();
  check_round_trip<test::v3_edge>();
}

TEST_CASE("tensors have the names, shapes and layouts of llama.cpp", "[interchange][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  Cpu cpu(1);
  Model<test::v3_edge, Fp32> model(cpu);
  fill(model);
  save_gguf(model, path);
  io::GgufFile const file(path);
  CHECK(file.tensors().front().name == "token_embd.weight");
  CHECK(file.at("output.weight").shape == io::TensorShape{100, 40});
  CHECK(file.at("blk.0.ffn_down.weight").shape == io::TensorShape{40, 72});
  CHECK(file.find("blk.0.ffn_gate_inp.weight") == nullptr);
  CHECK(file.at("blk.2.exp_probs_b.bias").shape == io::TensorShape{12});
  CHECK(file.at("blk.1.ffn_gate_shexp.weight").shape == io::TensorShape{24, 40});
  CHECK(file.at("blk.1.attn_q_b.weight").shape == io::TensorShape{3 * 56, 36});

  auto const slots = weight_slots(std::as_const(model));
  auto const ours = [&](std::string const& name) {
    auto const found =
        std::find_if(slots.begin(), slots.end(), [&](auto const& s) { return s.name == name; });
    REQUIRE(found != slots.end());
    return found->values;
  };
  constexpr int heads = 3, latent = 28, nope = 24, value = 20;
  auto const kv_b = ours("model.layers.1.self_attn.kv_b_proj.weight");
  auto const at = [&](int head, int row, int column) {
    return kv_b[static_cast<std::size_t>((head * (nope + value) + row) * latent + column)];
  };
  REQUIRE(file.at("blk.1.attn_k_b.weight").shape == io::TensorShape{heads, latent, nope});
  REQUIRE(file.at("blk.1.attn_v_b.weight").shape == io::TensorShape{heads, value, latent});
  auto const keys = file.values_of<float>(file.at("blk.1.attn_k_b.weight"));
  auto const values = file.values_of<float>(file.at("blk.1.attn_v_b.weight"));
  bool same = true;
  std::size_t k = 0, v = 0;
  for (int head = 0; head < heads; ++head) {
    for (int c = 0; c < latent; ++c)
      for (int n = 0; n < nope; ++n) same = same && keys[k++] == at(head, n, c);
    for (int u = 0; u < value; ++u)
      for (int c = 0; c < latent; ++c) same = same && values[v++] == at(head, nope + u, c);
  }
  CHECK(same);
  auto const stacked = file.values_of<float>(file.at("blk.2.ffn_down_exps.weight"));
  auto const expert = ours("model.layers.2.mlp.experts.7.down_proj.weight");
  CHECK(file.at("blk.2.ffn_down_exps.weight").shape == io::TensorShape{12, 40, 12});
  CHECK(std::equal(expert.begin(), expert.end(), stacked.begin() + 7 * 40 * 12));
}

TEST_CASE("matrices in BF16 and Q8_0, with F16 where blocks do not fit", "[interchange][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  Cpu cpu(1);
  Model<wide, Fp32> model(cpu), other(cpu);
  fill(model);
  auto const before = numbers_of(model);

  save_gguf(model, path, {.weights = GgufWeights::bf16});
  CHECK(io::GgufFile(path).at("token_embd.weight").type == io::GgmlType::bf16);
  CHECK(io::GgufFile(path).at("blk.1.ffn_gate_inp.weight").type == io::GgmlType::f32);
  load_gguf(other, path);
  auto after = numbers_of(other);
  for (std::size_t i = 0; i < after.size(); ++i)
    if (after[i] != before[i] && after[i] != static_cast<float>(bf16(before[i]))) FAIL("number " << i);

  save_gguf(model, path, {.weights = GgufWeights::q8_0});
  io::GgufFile const file(path);
  CHECK(file.at("token_embd.weight").type == io::GgmlType::q8_0);
  CHECK(file.at("blk.0.attn_v_b.weight").type == io::GgmlType::q8_0);
  CHECK(file.at("blk.0.attn_k_b.weight").type == io::GgmlType::f16);       // rows of 12
  CHECK(file.at("blk.1.ffn_down_exps.weight").type == io::GgmlType::f16);  // rows of 24
  CHECK(file.at("blk.1.ffn_up_exps.weight").type == io::GgmlType::q8_0);
  CHECK(file.at("blk.1.ffn_gate_inp.weight").type == io::GgmlType::f32);
  CHECK(file.at("output_norm.weight").type == io::GgmlType::f32);
  CHECK(file.at("blk.1.exp_probs_b.bias").type == io::GgmlType::f32);
  load_gguf(other, path);
  after = numbers_of(other);
  // Half a step of the scale, which is the largest magnitude over 127; all magnitudes here are below 2.
  for (std::size_t i = 0; i < after.size(); ++i)
    if (std::abs(after[i] - before[i]) > 2.0F / 127 / 2 * 1.01F) FAIL("number " << i);

  weight_slots(model)[0].values[5] = std::numeric_limits<float>::max();
  CHECK_THAT(test::message_of<NumericError>([&] { save_gguf(model, path, {.weights = GgufWeights::bf16}); }),
             ContainsSubstring("which BF16 cannot hold"));
  weight_slots(model)[0].values[5] = 2e7F;
  CHECK_THAT(test::message_of<NumericError>([&] { save_gguf(model, path, {.weights = GgufWeights::q8_0}); }),
             ContainsSubstring("'token_embd.weight' holds 2e+07, which Q8_0 cannot hold"));
  save_gguf(model, path);
  io::GgufFile const again(path);
  CHECK(again.values_of<float>(again.at("token_embd.weight"))[5] == 2e7F);
}

TEST_CASE("files of other tensors or numbers are refused", "[interchange][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  Cpu cpu(1);
  Model<wide, Fp32> model(cpu), other(cpu);
  fill(model);
  fill(other);
  weight_slots(other)[3].values[2] = std::nanf("");
  save_gguf(other, path);
  CHECK_THAT(test::message_of<IoError>([&] { load_gguf(model, path); }),
             ContainsSubstring("tensor 'blk.0.attn_kv_a_mqa.weight' holds nan at index 2"));
  for (float const number : numbers_of(model)) REQUIRE(number == 0);
  load_gguf(model, path, {.allow_nonfinite = true});

  std::string const content = io::read_file(path);
  io::GgufView const file(std::as_bytes(std::span(content)), path);
  std::vector<io::GgufOutput> tensors;
  for (io::GgufTensor const& t : file.tensors()) tensors.push_back(io::gguf_output(t));
  tensors[0].name = "token_embed.weight";
  tensors[1].shape = {8, 8};
  std::string const changed_path = folder.path + "/changed.gguf";
  io::write_gguf(changed_path, tensors, file.metadata());
  auto const before = numbers_of(model);
  CHECK_THAT(test::message_of<IoError>([&] { load_gguf(model, changed_path); }),
             ContainsSubstring("1 missing, 1 unknown, 1 unfit") &&
                 ContainsSubstring("missing  'token_embd.weight' (like 'token_embed.weight')") &&
                 ContainsSubstring("'blk.0.attn_norm.weight' has shape [8, 8], the model has [64]"));
  CHECK(std::memcmp(numbers_of(model).data(), before.data(), before.size() * sizeof(float)) == 0);
}

TEST_CASE("configurations come back from their keys", "[interchange][gguf]") {
  for (ModelConfig const& c :
       {test::v3_tiny, test::v3_mtp_tiny, test::v3_yarn_tiny, test::v2_lite_tiny, test::v3_edge, wide,
        presets::deepseek_v3, presets::deepseek_v2_lite, presets::kimi_k2, presets::tiny, presets::micro}) {
    auto const keys = gguf_config_keys(c);
    CHECK(read_gguf_config(keys, "model.gguf") == gguf_form(c));
    CHECK_NOTHROW(expect_gguf_config(keys, c, "model.gguf"));
  }
  auto const keys = gguf_config_keys(presets::deepseek_v3);
  auto const size = [&](std::string const& key) { return io::whole_number(keys.at("deepseek2." + key)); };
  auto const real = [&](std::string const& key) { return *io::find_value<float>(keys, "deepseek2." + key); };
  CHECK(size("attention.head_count_kv") == 1);
  CHECK(size("attention.key_length") == 576);
  CHECK(size("attention.value_length") == 512);
  CHECK(size("attention.key_length_mla") == 192);
  CHECK(size("attention.value_length_mla") == 128);
  CHECK(size("leading_dense_block_count") == 3);
  CHECK(size("expert_gating_func") == 2);
  CHECK(size("expert_group_count") == 8);
  CHECK(size("expert_group_used_count") == 4);
  CHECK(real("rope.scaling.yarn_log_multiplier") == 0.1F);
  CHECK(real("expert_weights_scale") == 2.5F);
  // What llama.cpp's converter writes for V2-Lite: 0.1 · 0.707, no query rank, one group.
  auto lite = gguf_config_keys(presets::deepseek_v2_lite);
  CHECK(*io::find_value<float>(lite, "deepseek2.rope.scaling.yarn_log_multiplier") == 0.0707F);
  lite.erase("deepseek2.attention.q_lora_rank");
  lite.erase("deepseek2.expert_weights_norm");
  lite["deepseek2.expert_group_count"] = std::uint32_t{1};
  lite["deepseek2.expert_group_used_count"] = std::uint32_t{1};
  CHECK_NOTHROW(expect_gguf_config(lite, presets::deepseek_v2_lite, "model.gguf"));
}

TEST_CASE("every difference of a configuration is in one message", "[interchange][gguf]") {
  auto keys = gguf_config_keys(test::v3_yarn_tiny);
  keys["deepseek2.block_count"] = std::uint32_t{4};
  keys["deepseek2.expert_weights_scale"] = 1.0F;
  keys["deepseek2.rope.scaling.factor"] = 8.0F;
  keys["deepseek2.attention.layer_norm_rms_epsilon"] = 1e-5F;
  keys.erase("deepseek2.expert_group_count");
  keys.erase("deepseek2.expert_group_used_count");
  CHECK_THAT(config_error(keys, test::v3_yarn_tiny),
             ContainsSubstring("model.gguf: made by another model configuration") &&
                 ContainsSubstring("layers is 4 there and 3 here") &&
                 ContainsSubstring("moe.gate_scale is 1 there and 2.5 here") &&
                 ContainsSubstring("moe.groups is 1 there and 4 here") &&
                 ContainsSubstring("mla.rope.yarn.factor is 8 there and 4 here") &&
                 ContainsSubstring("norm_eps is 1e-05 there and 1e-06 here"));
  keys = gguf_config_keys(test::v3_yarn_tiny);
  keys.erase("deepseek2.rope.scaling.yarn_log_multiplier");
  CHECK_THAT(config_error(keys, test::v3_yarn_tiny),
             ContainsSubstring("yarn_log_multiplier is missing or 0"));
  keys = gguf_config_keys(test::v3_tiny);
  keys.erase("deepseek2.embedding_length");
  keys["deepseek2.attention.head_count_kv"] = std::uint32_t{4};
  keys["deepseek2.expert_count"] = std::string("many");
  keys["deepseek2.expert_weights_norm"] = std::uint32_t{1};
  keys["deepseek2.expert_gating_func"] = std::uint32_t{4};
  keys["deepseek2.attention.temperature_scale"] = 0.1F;
  keys["deepseek2.nextn_predict_layers"] = std::uint32_t{1};
  CHECK_THAT(config_error(keys),
             ContainsSubstring("deepseek2.embedding_length is missing") &&
                 ContainsSubstring("attention.head_count_kv is 4, not 1") &&
                 ContainsSubstring("expert_count is no whole number") &&
                 ContainsSubstring("expert_weights_norm is no truth value") &&
                 ContainsSubstring("expert_gating_func is 4; 1 (softmax) and 2") &&
                 ContainsSubstring("'deepseek2.attention.temperature_scale' is unknown") &&
                 ContainsSubstring("nextn_predict_layers is not 0"));
  CHECK_THAT(config_error(changed(keys, "general.architecture", std::string("llama"))),
             ContainsSubstring("general.architecture is 'llama'"));
  CHECK_THAT(config_error({}), ContainsSubstring("general.architecture is missing"));
}

TEST_CASE("row 18: absurd sizes are refused by the rules", "[interchange][gguf]") {
  auto const good = gguf_config_keys(test::v3_tiny);
  auto const with_size = [&](std::string const& key, io::GgufValue value) {
    return config_error(changed(good, "deepseek2." + key, std::move(value)));
  };
  CHECK_THAT(with_size("block_count", std::uint32_t{1'000'000'000}), ContainsSubstring("above 16777216"));
  CHECK_THAT(with_size("block_count", std::uint32_t{0}), ContainsSubstring("layers must be positive"));
  CHECK_THAT(with_size("block_count", ~std::uint64_t{0}), ContainsSubstring("no whole number below 2^31"));
  CHECK_THAT(with_size("block_count", std::int32_t{-1}), ContainsSubstring("no whole number below 2^31"));
  CHECK_THAT(with_size("expert_count", std::uint32_t{0}),
             ContainsSubstring("expert_count is 0, but only the first 1 of 3"));
  CHECK_THAT(with_size("expert_used_count", std::uint32_t{17}), ContainsSubstring("top_k must not exceed"));
  CHECK_THAT(with_size("expert_group_count", std::uint32_t{3}), ContainsSubstring("must divide"));
  CHECK_THAT(with_size("attention.key_length_mla", std::uint32_t{8}), ContainsSubstring("nope_dim must be"));
  CHECK_THAT(with_size("attention.key_length_mla", std::uint32_t{0}), ContainsSubstring("nope_dim must be"));
  CHECK_THAT(with_size("rope.dimension_count", std::uint32_t{7}),
             ContainsSubstring("key_length is 24, not 23"));
  CHECK_THAT(with_size("attention.kv_lora_rank", std::uint32_t{0x7FFFFFFF}),
             ContainsSubstring("not 2147483647"));
  CHECK_THAT(with_size("rope.freq_base", std::nanf("")), ContainsSubstring("theta must be above 1"));
}

TEST_CASE("configurations that llama.cpp runs differently are refused", "[interchange][gguf]") {
  auto const refused = [](ModelConfig const& base, auto change) {
    return test::message_of<ConfigError>([&] { (void)gguf_config_keys(with(base, change)); });
  };
  CHECK(gguf_obstacles(presets::deepseek_v3).empty());
  // Its latent norms have the epsilon of the reference code, the others that of its config.json.
  CHECK(gguf_obstacles(presets::moonlight_16b_a3b).size() == 1);
  CHECK_THAT(refused(test::v3_tiny, [](ModelConfig& c) { c.mla.norm_eps = 1e-5; }),
             ContainsSubstring("mla.norm_eps is 1e-05 and norm_eps 1e-06"));
  CHECK_THAT(refused(test::v3_yarn_tiny, [](ModelConfig& c) { c.mla.rope.yarn.mscale = 0.7; }),
             ContainsSubstring("mscale is 0.7 and mscale_all_dim 1"));
  CHECK_THAT(refused(test::v3_yarn_tiny,
                     [](ModelConfig& c) { c.mla.rope.yarn.mscale = c.mla.rope.yarn.mscale_all_dim = 0; }),
             ContainsSubstring("equal and not 0"));
  CHECK_THAT(refused(test::v2_yarn_tiny, [](ModelConfig&) {}), ContainsSubstring("group_limited"));
  CHECK_THAT(refused(test::v3_tiny, [](ModelConfig& c) { c.moe.shared = 0; }),
             ContainsSubstring("moe.shared is 0"));
  CHECK_THAT(refused(test::v3_tiny, [](ModelConfig& c) { c.layers = 4, c.moe.layer_stride = 2; }),
             ContainsSubstring("layer 3 is dense behind one with experts"));
  CHECK_THAT(refused(test::v3_tiny, [](ModelConfig& c) { c.layers = 27; }),
             ContainsSubstring("mla.q_rank is 24"));
  CHECK_THAT(refused(test::odd_v2, [](ModelConfig&) {}), ContainsSubstring("mscale is 0.707") &&
                                                             ContainsSubstring("shared is 0") &&
                                                             ContainsSubstring("group_limited"));
}

TEST_CASE("tokenizers come back from their keys", "[interchange][gguf][tokenizer]") {
  auto const tokenizer = tokenizer_of(290);
  auto const keys = gguf_tokenizer_keys(tokenizer, 293);
  CHECK(read_gguf_tokenizer(keys, "model.gguf") == tokenizer);
  auto const& tokens = *io::find_value<std::vector<std::string>>(keys, "tokenizer.ggml.tokens");
  auto const& types = *io::find_value<std::vector<std::int32_t>>(keys, "tokenizer.ggml.token_type");
  CHECK(tokens.size() == 293);
  CHECK(tokens[0] == data::special::bos);
  CHECK(tokens[201] == "Ċ");  // the newline
  CHECK(tokens[292] == "[PAD292]");
  CHECK(types[0] == 3);
  CHECK(types[3] == 1);
  CHECK(types[292] == 5);
  CHECK(io::whole_number(keys.at("tokenizer.ggml.bos_token_id")) == 0);
  CHECK(io::whole_number(keys.at("tokenizer.ggml.eos_token_id")) == 1);

  auto const refusal_of = [&](auto change) {
    data::Vocabulary vocabulary = tokenizer.vocabulary();
    change(vocabulary);
    return test::message_of<DataError>([&] {
      (void)gguf_tokenizer_keys(
          data::Tokenizer(vocabulary,
                          [](data::PreTokenizer const&) { return std::shared_ptr<data::Splitter const>(); }),
          293);
    });
  };
  using data::Vocabulary;
  for (auto const change : {+[](Vocabulary& v) { v.pre_tokenizer.prefix_space = true; },
                            +[](Vocabulary& v) { v.normalization = data::Normalization::nfc; },
                            +[](Vocabulary& v) { v.ignore_merges = true; }})
    CHECK_THAT(refusal_of(change), ContainsSubstring("another way than DeepSeek-V3's"));
  CHECK_THAT(refusal_of([](Vocabulary& v) { v.added[1].lstrip = true; }),
             ContainsSubstring("added token 1 takes in"));
  CHECK_THAT(refusal_of([](Vocabulary& v) { v.before = {2}; }),
             ContainsSubstring("other tokens around a text"));

  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  Cpu cpu(1);
  Model<wide, Fp32> model(cpu), other(cpu);
  fill(model);
  save_gguf(model, tokenizer, path);
  CHECK(load_gguf_tokenizer(path) == tokenizer);
  load_gguf(other, path);
  CHECK(numbers_of(other) == numbers_of(model));
  CHECK_THAT(test::message_of<ConfigError>([&] { (void)gguf_tokenizer_keys(tokenizer, 200); }),
             ContainsSubstring("the model 200"));
  save_gguf(model, path);
  CHECK_THAT(test::message_of<DataError>([&] { (void)load_gguf_tokenizer(path); }),
             ContainsSubstring("tokenizer.ggml.model is 'none'"));
}

TEST_CASE("row 19: tokens that are no byte-level ones are refused", "[interchange][gguf][tokenizer]") {
  auto const good = gguf_tokenizer_keys(tokenizer_of(290), 292);
  auto const refused = [](io::GgufMetadata const& keys) {
    return test::message_of<DataError>([&] { (void)read_gguf_tokenizer(keys, "model.gguf"); });
  };
  auto const with_token = [&](std::size_t id, std::string token, std::int32_t type) {
    auto keys = good;
    std::get<std::vector<std::string>>(keys["tokenizer.ggml.tokens"])[id] = std::move(token);
    std::get<std::vector<std::int32_t>>(keys["tokenizer.ggml.token_type"])[id] = type;
    return refused(keys);
  };
  CHECK_THAT(with_token(70, "<0x-1>", 6), ContainsSubstring("model.gguf: token 70, '<0x-1>', has type 6"));
  CHECK_THAT(with_token(70, "<0xZZ>", 6), ContainsSubstring("has type 6"));
  CHECK_THAT(with_token(70, "<0xZZ>", 1), ContainsSubstring("no token for byte"));
  CHECK_THAT(with_token(70, " x", 1), ContainsSubstring("outside the byte-level alphabet"));
  CHECK_THAT(with_token(70, "\xFF", 1), ContainsSubstring("outside the byte-level alphabet"));
  CHECK_THAT(with_token(70, "", 1), ContainsSubstring("token 70 is empty"));
  CHECK_THAT(with_token(70, "[PAD70]", 5), ContainsSubstring("has type 5"));
  CHECK_THAT(with_token(291, "[PAD7]", 5), ContainsSubstring("has type 5"));
  auto const with_merge = [&](std::string merge) {
    auto keys = good;
    std::get<std::vector<std::string>>(keys["tokenizer.ggml.merges"])[1] = std::move(merge);
    return refused(keys);
  };
  CHECK_THAT(with_merge("in"), ContainsSubstring("merge 1, 'in', is not two tokens"));
  CHECK_THAT(with_merge("i qqq"), ContainsSubstring("uses a token that the vocabulary lacks"));
  CHECK_THAT(with_merge("q q"), ContainsSubstring("makes bytes that are no plain token"));
  CHECK_THAT(refused(changed(good, "tokenizer.ggml.model", std::string("llama"))),
             ContainsSubstring("'llama'"));
  CHECK_THAT(refused(changed(good, "tokenizer.ggml.pre", std::string("default"))),
             ContainsSubstring("'default'"));
  CHECK_THAT(refused(changed(good, "tokenizer.ggml.tokens", true)), ContainsSubstring("of another type"));
  CHECK_THAT(refused(changed(good, "tokenizer.ggml.token_type", std::vector<std::int32_t>{1})),
             ContainsSubstring("292 tokens and 1 token types"));
}
