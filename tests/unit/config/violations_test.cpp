#include "aeth/config/violations.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "aeth/config/presets.hpp"
#include "support/catch.hpp"

using aeth::ModelConfig;
using aeth::presets::tiny;

TEST_CASE("a valid configuration has no violations") {
  CHECK(aeth::violations(tiny).empty());
  CHECK(aeth::violations(tiny.mla).empty());
  CHECK(aeth::violations(tiny.moe).empty());
  CHECK_NOTHROW(aeth::require_valid(tiny, "config.json"));
}

TEST_CASE("a violation shows the rule and both values") {
  auto const broken = aeth::with(tiny, [](ModelConfig& c) { c.moe.top_k = 9; });
  CHECK_THAT(
      aeth::violations(broken),
      Catch::Contains("  - MoeConfig::top_k must not exceed MoeConfig::experts; each token picks distinct "
                      "experts (9 <= 8 is false)\n"));
}

TEST_CASE("one message lists all violations and where they came from") {
  auto const broken = aeth::with(tiny, [](ModelConfig& c) {
    c.mla.kv_rank = 0;
    c.mla.rope_dim = 7;
    c.moe.groups = 3;
    c.vocab_size = -5;
    c.norm_eps = std::numeric_limits<double>::quiet_NaN();
  });
  try {
    aeth::require_valid(broken, "model/config.json");
    FAIL("not refused");
  } catch (aeth::ConfigError const& error) {
    std::string const message = error.what();
    CHECK(error.code() == aeth::ExitCode::config);
    CHECK_THAT(message, Catch::StartsWith("model/config.json: the model configuration breaks 5 rules:\n"));
    CHECK_THAT(message, Catch::Contains("MlaConfig::kv_rank must be positive"));
    CHECK_THAT(message, Catch::Contains("MlaConfig::rope_dim must be even"));
    CHECK_THAT(message, Catch::Contains("MoeConfig::groups must divide MoeConfig::experts"));
    CHECK_THAT(message, Catch::Contains("ModelConfig::vocab_size must be positive") &&
                            Catch::Contains("(-5 > 0 is false)"));
    CHECK_THAT(message, Catch::Contains("ModelConfig::norm_eps must be positive and finite"));
    CHECK(std::count(message.begin(), message.end(), '\n') == 6);
  }
}

TEST_CASE("no setting of the integers to extremes overflows or escapes") {
  constexpr int extremes[] = {std::numeric_limits<int>::min(), -1, 0, 1, std::numeric_limits<int>::max()};
  for (int const value : extremes)
    for (int const other : extremes) {
      auto const broken = aeth::with(tiny, [&](ModelConfig& c) {
        c.moe.experts = value;
        c.moe.groups = other;
        c.moe.top_groups = value;
        c.mla.rope_dim = other;
        c.dense_layers = value;
        c.layers = other;
        c.dim = value;
      });
      if (value != 1 || other == 1) CHECK_FALSE(aeth::violations(broken).empty());
    }
}
