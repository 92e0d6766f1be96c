/// The config.json of a DeepSeek-style checkpoint as a configuration, and the reverse. Needs nlohmann-json.
///
/// source   the config.json files released with DeepSeek-V2, V2-Lite, Coder-V2, V3, R1, Moonlight and Kimi-K2;
///          huggingface/transformers: configuration_deepseek_v2.py, configuration_deepseek_v3.py
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/config/describe.hpp"
#include "aeth/config/differences.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/core/error.hpp"
#include "aeth/interchange/detail/config_reader.hpp"
#include "aeth/io/json.hpp"

namespace aeth::interchange {

/// Understands model_type deepseek_v2, deepseek_v3 and kimi_k2 (Moonlight says deepseek_v3), with `rope_scaling`
/// or the newer `rope_parameters`. Absent keys that the released files leave out have the value of the code
/// released with them; everything else must be there.
///
/// errors   ConfigError that lists every key that is missing, of the wrong kind or not supported, and every broken
///          rule of the configuration
[[nodiscard]] inline ConfigJson parse_config_json(std::string_view content, std::string_view file) {
  io::Json root = io::parse_json<ConfigError>(content, file);
  expect<ConfigError>(root.is_object(), file, ": it is a JSON ", root.type_name(), ", not an object");
  return detail::ConfigReader(root, file).read();
}

/// The same for a file. Errors: also IoError if it cannot be read.
[[nodiscard]] inline ConfigJson load_config_json(std::string const& path) {
  constexpr std::uint64_t longest = std::uint64_t{16} << 20;
  return parse_config_json(io::read_file(path, longest), path);
}

/// Whether a compiled model computes what a config.json describes. A shorter max_context and fewer MTP modules
/// leave the results as they are; init_std and mtp_input are not in the file.
///
/// errors   ConfigError that lists the fields that differ
inline void expect_same_config(ConfigJson const& theirs, ModelConfig const& ours, std::string_view file) {
  ModelConfig there = theirs.config;
  there.init_std = ours.init_std;
  there.mtp_input = ours.mtp_input;
  if (ours.max_context < there.max_context) there.max_context = ours.max_context;
  if (ours.mtp_depth < there.mtp_depth) there.mtp_depth = ours.mtp_depth;
  if (there.moe.experts == 0 && ours.moe.experts == 0) {  // without experts, nothing of them matters
    there.moe = ours.moe;
    there.dense_layers = ours.dense_layers;
  }
  auto const lines = differing_fields(describe(there), describe(ours));
  if (lines.empty()) return;
  std::string message = text(
      file, ": made for another configuration; compile the one that it describes (aeth_inspect --header)");
  for (std::string const& line : lines) message += "\n  " + line;
  throw ConfigError(message);
}

}  // namespace aeth::interchange
