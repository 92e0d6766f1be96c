// Any bytes as a checkpoint's config.json: ConfigError, or a configuration that survives writing and reading.
#include <algorithm>
#include <string>
#include <string_view>

#include "aeth/core/error.hpp"
#include "aeth/interchange/config_header.hpp"
#include "aeth/interchange/config_json.hpp"
#include "aeth/interchange/to_config_json.hpp"
#include "fuzz/target.hpp"

using namespace aeth::interchange;
using aeth::fuzz::require;

AETH_FUZZ_TARGET(config_json, content) {
  aeth::ModelConfig config;
  try {
    config = parse_config_json(content, "fuzz").config;
  } catch (aeth::ConfigError const&) {
    return false;
  }
  require(!config_header(config, "config", content).empty(), "no header for a configuration that was read");
  std::string written;
  try {
    written = to_config_json(config, WeightType::bf16);
  } catch (aeth::ConfigError const&) {
    return true;  // Transformers cannot express all that is read
  }
  ConfigJson const again = parse_config_json(written, "again");
  expect_same_config(again, config, "again");  // apart from what a file does not say
  require(to_config_json(again.config, WeightType::bf16) == written, "writing twice gives two texts");
  return true;
}
