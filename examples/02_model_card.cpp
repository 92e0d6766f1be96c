// Prints the model card of a preset: parameters, FLOPs, cache and training memory. All numbers are compile-time constants of
// the library; `tests/static/model_card.cpp` proves them against the published ones.
//
// test: deepseek_v3
#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <string>

#include "aeth/config/describe.hpp"
#include "aeth/config/presets.hpp"

int main(int argc, char** argv) {
  namespace presets = aeth::presets;
  std::map<std::string, aeth::ModelConfig> const models{
      {"deepseek_v2_lite", presets::deepseek_v2_lite},
      {"deepseek_v2", presets::deepseek_v2},
      {"deepseek_v3", presets::deepseek_v3},
      {"deepseek_r1", presets::deepseek_r1},
      {"deepseek_coder_v2_lite", presets::deepseek_coder_v2_lite},
      {"moonlight_16b_a3b", presets::moonlight_16b_a3b},
      {"kimi_k2", presets::kimi_k2},
      {"tiny", presets::tiny},
      {"micro", presets::micro},
      {"mini", presets::mini},
      {"medium", presets::medium},
  };
  CLI::App app("Prints the model card of a preset.");
  std::string name = "deepseek_v3";
  int context = 4096;
  bool as_code = false;
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("preset", name, "One of the presets")->check(CLI::IsMember(models))->capture_default_str();
  app.add_option("--context", context, "Tokens before the one whose cost is counted")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_flag("--code", as_code, "Print the configuration as C++ instead");
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  aeth::ModelConfig const& config = models.at(name);
  std::cout << (as_code ? aeth::describe(config) : aeth::card_table(config, context)) << '\n';
}
