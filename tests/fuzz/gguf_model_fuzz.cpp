// The keys of any GGUF file as configuration and tokenizer: a documented error, or what survives writing and reading.
// tests/fuzz/corpus/gguf_model has seeds of each kind of damage.
#include <cstddef>
#include <span>
#include <string_view>

#include "aeth/core/error.hpp"
#include "aeth/interchange/gguf_config.hpp"
#include "aeth/interchange/gguf_config_reader.hpp"
#include "aeth/interchange/gguf_tokenizer.hpp"
#include "aeth/io/gguf.hpp"
#include "fuzz/target.hpp"

using namespace aeth::interchange;
using aeth::fuzz::require;

namespace {

bool check_config(aeth::io::GgufMetadata const& metadata) {
  try {
    aeth::ModelConfig const config = read_gguf_config(metadata, "fuzz");
    require(gguf_form(config) == config, "a configuration that was read is not in its form");
    if (gguf_obstacles(config).empty())
      require(read_gguf_config(gguf_config_keys(config), "again") == config,
              "the configuration changed in writing and reading");
    return true;
  } catch (aeth::ConfigError const&) {
    return false;
  }
}

bool check_tokenizer(aeth::io::GgufMetadata const& metadata) {
  try {
    aeth::data::Tokenizer const tokenizer = read_gguf_tokenizer(metadata, "fuzz");
    try {
      auto const keys = gguf_tokenizer_keys(tokenizer, tokenizer.size() + 3);
      require(read_gguf_tokenizer(keys, "again") == tokenizer,
              "the tokenizer changed in writing and reading");
    } catch (aeth::DataError const&) {
      // Some vocabularies cannot be written: without bos or eos, or with added tokens that are not UTF-8.
    }
    return true;
  } catch (aeth::DataError const&) {
    return false;
  }
}

}  // namespace

AETH_FUZZ_TARGET(gguf_model, content) {
  try {
    aeth::io::GgufView const file(std::as_bytes(std::span(content.data(), content.size())), "fuzz");
    bool const config = check_config(file.metadata()), tokenizer = check_tokenizer(file.metadata());
    return config && tokenizer;
  } catch (aeth::io::GgufError const&) {
    return false;
  }
}
