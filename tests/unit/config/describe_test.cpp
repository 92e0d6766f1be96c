#include "aeth/config/describe.hpp"

#include <string>

#include "aeth/config/presets.hpp"
#include "support/catch.hpp"

namespace presets = aeth::presets;

TEST_CASE("describe prints designated initialisers with every field") {
  auto const shown = aeth::describe(presets::deepseek_v3);
  for (char const* field :
       {"aeth::ModelConfig{\n", ".vocab_size = 129280,", ".dim = 7168,", ".mla = {.heads = 128,",
        ".kv_rank = 512,", ".norm_eps = 1e-06,", ".rope = {.theta = 10000,", ".yarn = {.factor = 40,",
        ".mscale_all_dim = 1}}},", ".moe = {.experts = 256,", ".selection = aeth::Selection::bias_corrected,",
        ".normalize_gates = true,", ".gate_scale = 2.5,", ".mtp_depth = 1,",
        ".mtp_input = aeth::MtpInput::post_norm,\n}"})
    CHECK_THAT(shown, Catch::Contains(field));
}

TEST_CASE("configurations that differ print differently") {
  CHECK(aeth::describe(presets::deepseek_v3) == aeth::describe(presets::deepseek_r1));
  CHECK(aeth::describe(presets::deepseek_v2) != aeth::describe(presets::deepseek_v2_lite));
}

TEST_CASE("numbers for people") {
  CHECK(aeth::grouped(0) == "0");
  CHECK(aeth::grouped(999) == "999");
  CHECK(aeth::grouped(1000) == "1,000");
  CHECK(aeth::grouped(-123456) == "-123,456");
  CHECK(aeth::grouped(671'026'419'200) == "671,026,419,200");
  CHECK(aeth::bytes_text(512) == "512 B");
  CHECK(aeth::bytes_text(70272) == "68.6 KiB");
  CHECK(aeth::flops_text(56'200'000) == "56.2 MFLOP");
}

TEST_CASE("the card shows totals in aligned columns") {
  auto const table = aeth::card_table(presets::deepseek_v3, 4096);
  INFO(table);
  CHECK_THAT(table, Catch::Contains("671,026,419,200") && Catch::Contains("37,552,297,472") &&
                        Catch::Contains("36,625,618,432") && Catch::Contains("11,610,068,224") &&
                        Catch::Contains("68.6 KiB"));
  // all numbers of the first column end at the same place
  auto const end_of = [&](char const* number) {
    auto const at = table.find(number);
    return at - table.rfind('\n', at) + std::string(number).size();
  };
  CHECK(end_of("671,026,419,200") == end_of("11,610,068,224"));
  CHECK(end_of("671,026,419,200") == end_of("68.6 KiB"));
}
