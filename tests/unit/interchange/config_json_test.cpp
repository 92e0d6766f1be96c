#include "aeth/interchange/config_json.hpp"

#include <string>

#include "aeth/config/presets.hpp"
#include "aeth/interchange/config_header.hpp"
#include "aeth/interchange/to_config_json.hpp"
#include "support/catch.hpp"
#include "support/golden_configs.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using namespace aeth::interchange;
using Catch::Matchers::ContainsSubstring;

namespace {

io::Json v3() {
  return io::parse_json<ConfigError>(to_config_json(presets::deepseek_v3, WeightType::fp8), "v3");
}

std::string refusal(io::Json const& keys) {
  return test::message_of<ConfigError>([&] { (void)parse_config_json(keys.dump(), "config.json"); });
}

ModelConfig read(io::Json const& keys) {
  return parse_config_json(keys.dump(), "config.json").config;
}

}  // namespace

TEST_CASE("presets survive being written and read", "[interchange][config_json]") {
  for (ModelConfig const& config :
       {presets::deepseek_v2_lite, presets::deepseek_v2, presets::deepseek_v3, presets::moonlight_16b_a3b,
        presets::kimi_k2, presets::micro, presets::tiny, test::v2_yarn_tiny}) {
    auto const back = parse_config_json(to_config_json(config, WeightType::f32), "config.json");
    CHECK_NOTHROW(expect_same_config(back, config, "config.json"));
    CHECK_FALSE(back.fp8);
    ModelConfig same = back.config;
    same.init_std = config.init_std;
    CHECK(same == config);
  }
}

TEST_CASE("the golden config.json files are the golden configurations", "[interchange][config_json]") {
  auto const path = [](char const* name) {
    return std::string(AETH_TEST_DATA_DIR) + "/golden/data/" + name + "/config.json";
  };
  auto const check = [&](char const* name, ModelConfig const& config) {
    CHECK_NOTHROW(expect_same_config(load_config_json(path(name)), config, name));
  };
  check("v3-tiny", test::v3_tiny);
  check("v3-mtp-tiny", test::v3_mtp_tiny);
  check("v3-yarn-tiny", test::v3_yarn_tiny);
  check("v2-yarn-tiny", test::v2_yarn_tiny);
  check("v2-lite-tiny", test::v2_lite_tiny);
  check("v3-edge", test::v3_edge);
}

TEST_CASE("keys may take the forms of other versions", "[interchange][config_json]") {
  io::Json keys = v3();
  keys["rope_parameters"] = keys["rope_scaling"];
  keys["rope_parameters"].erase("type");
  keys["rope_parameters"]["rope_theta"] = 10000;
  keys["rope_parameters"]["beta_fast"] = 32.0;
  keys.erase("rope_scaling");
  keys.erase("rope_theta");
  keys["hidden_size"] = 7168.0;
  for (char const* optional :
       {"scoring_func", "topk_method", "moe_layer_freq", "hidden_act", "attention_bias"})
    keys.erase(optional);
  keys["some_key_of_the_future"] = {1, 2};
  auto const parsed = parse_config_json(keys.dump(), "config.json");
  CHECK_NOTHROW(expect_same_config(parsed, presets::deepseek_v3, "config.json"));
  CHECK(parsed.fp8);
  CHECK(parsed.keys["some_key_of_the_future"].size() == 2);

  io::Json lite =
      io::parse_json<ConfigError>(to_config_json(presets::deepseek_v2_lite, WeightType::bf16), "lite");
  lite["topk_method"] = "gready";
  for (io::Json const& none : {io::Json(), io::Json(0)}) {
    lite["q_lora_rank"] = none;
    CHECK(read(lite).mla.q_rank == 0);
  }
  CHECK(read(lite).moe.selection == Selection::greedy);
}

TEST_CASE("absent YaRN scales have the released code's defaults", "[interchange][config_json]") {
  io::Json keys = v3();
  keys["rope_scaling"].erase("mscale");
  keys["rope_scaling"].erase("mscale_all_dim");
  CHECK(read(keys).mla.rope.yarn.mscale == 1.0);
  CHECK(read(keys).mla.rope.yarn.mscale_all_dim == 0.0);
}

TEST_CASE("in a dense model, the MTP modules are dense too", "[interchange][config_json]") {
  ModelConfig const dense = with(presets::tiny, [](ModelConfig& c) {
    c.moe = {};
    c.dense_layers = c.layers;
    c.mtp_depth = 1;
  });
  std::string const content = to_config_json(dense, WeightType::f32);
  auto const keys = io::parse_json<ConfigError>(content, "dense");
  CHECK(keys["first_k_dense_replace"] == dense.layers + 1);
  CHECK_NOTHROW(expect_same_config(parse_config_json(content, "dense"), dense, "dense"));
}

TEST_CASE("YaRN by a factor of 1 is none", "[interchange][config_json]") {
  io::Json keys = v3();
  keys["rope_scaling"]["factor"] = 1;
  CHECK(read(keys).mla.rope.yarn == YarnConfig{});
}

TEST_CASE("rows 20 and 21: all that is wrong is said at once", "[interchange][config_json]") {
  io::Json keys = v3();
  keys.erase("hidden_size");
  keys["kv_lora_rank"] = "512";
  keys["num_hidden_layers"] = 60.5;
  keys["topk_method"] = "best";
  keys["hidden_act"] = "gelu";
  keys["rope_scaling"]["type"] = keys["rope_scaling"]["rope_type"] = "linear";
  std::string const message = refusal(keys);
  for (char const* part :
       {"hidden_size is missing", "kv_lora_rank is a JSON string", "num_hidden_layers is 60.5",
        "topk_method is 'best'", "hidden_act is 'gelu'", "type 'linear'"})
    CHECK_THAT(message, ContainsSubstring(part));

  keys = v3();
  for (char const* key : {"routed_scaling_factor", "n_group", "topk_group", "n_shared_experts"})
    keys.erase(key);
  std::string const absent = refusal(keys);
  for (char const* key : {"routed_scaling_factor", "n_group", "topk_group", "n_shared_experts"})
    CHECK_THAT(absent, ContainsSubstring(std::string(key) + " is missing"));

  keys = v3();
  keys["num_experts_per_tok"] = 300;
  keys["n_group"] = 7;
  keys["qk_rope_head_dim"] = 63;
  keys["kv_lora_rank"] = 0;
  keys["rope_scaling"]["factor"] = 0;
  std::string const rules = refusal(keys);
  for (char const* part : {"top_k must not exceed", "groups must divide", "rope_dim must be even",
                           "kv_rank must be positive", "factor must be finite and at least 1"})
    CHECK_THAT(rules, ContainsSubstring(part));
}

TEST_CASE("other families, formats and weights moved apart are refused", "[interchange][config_json]") {
  auto const changed = [](char const* key, io::Json const& value) {
    io::Json keys = v3();
    keys[key] = value;
    return refusal(keys);
  };
  CHECK_THAT(changed("model_type", "llama"), ContainsSubstring("model_type is 'llama'"));
  CHECK_THAT(changed("rope_interleave", false), ContainsSubstring("rope_interleave"));
  CHECK_THAT(changed("num_key_value_heads", 8), ContainsSubstring("num_key_value_heads is 8"));
  CHECK_THAT(changed("attention_bias", true), ContainsSubstring("attention_bias is true"));
  CHECK_THAT(changed("quantization_config", {{"quant_method", "awq"}}), ContainsSubstring("FP8"));
  CHECK_THAT(changed("rope_scaling", 3), ContainsSubstring("rope_scaling is a JSON number"));
  for (char const* text : {"", "[]", "{", "{\"a\":1,\"a\":2}", "nonsense", "{\"hidden_size\":1e999}"})
    CHECK_THROWS_AS(parse_config_json(text, "config.json"), ConfigError);
  CHECK_THROWS_AS(parse_config_json(std::string(100000, '['), "config.json"), ConfigError);
}

TEST_CASE("a compiled model must be the one described", "[interchange][config_json]") {
  auto const theirs = parse_config_json(to_config_json(presets::deepseek_v3, WeightType::f32), "config.json");
  auto const differing = with(presets::deepseek_v3, [](ModelConfig& c) {
    c.dim = 512;
    c.moe.gate_scale = 1.0;
    c.mla.rope.yarn.beta_fast = 16.0;
  });
  std::string const message =
      test::message_of<ConfigError>([&] { expect_same_config(theirs, differing, "config.json"); });
  for (char const* part : {"dim is 7168 there and 512 here", "moe.gate_scale is 2.5 there and 1 here",
                           "mla.rope.yarn.beta_fast is 32 there and 16 here"})
    CHECK_THAT(message, ContainsSubstring(part));
  auto const smaller = with(presets::deepseek_v3, [](ModelConfig& c) {
    c.max_context = 4096;
    c.mtp_depth = 0;
  });
  CHECK_NOTHROW(expect_same_config(theirs, smaller, "config.json"));
  auto const longer = with(presets::deepseek_v3, [](ModelConfig& c) { c.max_context = 1 << 20; });
  CHECK_THROWS_AS(expect_same_config(theirs, longer, "config.json"), ConfigError);
}

TEST_CASE("what other engines would silently compute otherwise is not exported",
          "[interchange][config_json]") {
  auto const refuse = [](auto change) {
    return test::message_of<ConfigError>(
        [&] { (void)to_config_json(with(presets::tiny, change), WeightType::f32); });
  };
  CHECK_THAT(refuse([](ModelConfig& c) { c.mla.norm_eps = 1e-5; }), ContainsSubstring("mla.norm_eps"));
  CHECK_THAT(refuse([](ModelConfig& c) { c.dim = 63; }), ContainsSubstring("multiple of mla.heads"));
  CHECK_THAT(refuse([](ModelConfig& c) { c.moe.layer_stride = 2; }), ContainsSubstring("layer_stride"));
  CHECK_THAT(refuse([](ModelConfig& c) { c.moe.selection = Selection::greedy; }),
             ContainsSubstring("sigmoid"));
  CHECK_THAT(refuse([](ModelConfig& c) { c.moe.scoring = Scoring::softmax; }), ContainsSubstring("softmax"));
  // No structured binding: clang 14 does not let a lambda capture one.
  for (auto const& scales : {std::pair{0.0, 1.0}, {0.707, 0.0}, {0.0, 0.0}})
    CHECK_THAT(
        refuse([&](ModelConfig& c) {
          c.mla.rope.yarn = {
              .factor = 4, .original_context = 64, .mscale = scales.first, .mscale_all_dim = scales.second};
        }),
        ContainsSubstring("rope.yarn.mscale"));
}

TEST_CASE("a header of a configuration names it and carries its card", "[interchange][config_header]") {
  std::string const header = config_header(presets::deepseek_v3, "my_model", "a\nfolder");
  CHECK_THAT(header, ContainsSubstring("inline constexpr aeth::ModelConfig my_model = aeth::ModelConfig{"));
  CHECK_THAT(header, ContainsSubstring("671,026,419,200"));
  CHECK_THAT(header, ContainsSubstring("// Made from a?folder."));
  for (char const* name : {"", "1a", "a b", "a;b"})
    CHECK_THROWS_AS(config_header(presets::tiny, name, "x"), UsageError);
}
