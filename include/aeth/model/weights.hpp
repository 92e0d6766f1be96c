/// A model's weights as a safetensors file with the names of the released Hugging Face weights. Needs
/// nlohmann-json.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/config/describe.hpp"
#include "aeth/config/differences.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/core/error.hpp"
#include "aeth/io/hash.hpp"
#include "aeth/io/safetensors.hpp"
#include "aeth/io/safetensors_writer.hpp"
#include "aeth/model/weight_slots.hpp"

namespace aeth {

/// The notes that tie a file to a configuration: a hash of it, and its text to name differences.
inline constexpr std::string_view config_note = "aeth.config", config_text_note = "aeth.config.text";

/// Sixteen hexadecimal digits of hash64() over describe().
[[nodiscard]] inline std::string config_hash(ModelConfig const& config) {
  return io::hash_text(io::hash64(describe(config)));
}

/// Adds the notes of a configuration. Errors: UsageError if they are there already.
inline void add_config_notes(io::Metadata& metadata, ModelConfig const& config) {
  expect<UsageError>(metadata.emplace(config_note, config_hash(config)).second &&
                         metadata.emplace(config_text_note, describe(config)).second,
                     "weights: the notes aeth.config and aeth.config.text are written by the library; leave "
                     "them out");
}

/// Whether a file is of this configuration; one without the notes may be, as far as they tell.
///
/// errors   ConfigError that lists the fields that differ
inline void expect_same_config(io::Metadata const& metadata, ModelConfig const& config,
                               std::string_view file) {
  auto const hash = metadata.find(config_note);
  if (hash == metadata.end() || hash->second == config_hash(config)) return;
  std::string message = text(file, ": made by another model configuration; use the one it was made with");
  auto const theirs = metadata.find(config_text_note);
  std::vector<std::string> lines;
  if (theirs != metadata.end()) lines = differing_fields(theirs->second, describe(config));
  if (lines.empty())
    message += text(" (its hash is ", io::in_quotes(hash->second), ", ours ", config_hash(config), ')');
  for (std::string const& line : lines) message += "\n  " + line;
  throw ConfigError(message);
}

/// What load_weights() lets pass.
struct LoadOptions {
  bool allow_nonfinite = false;     ///< accept infinities and NaN
  bool allow_other_config = false;  ///< do not compare the configuration's notes; names and shapes must fit
  io::Access access = io::Access::read;  ///< of load_weights(); the other formats are always streamed
};

/// A model's tensors, to be written; they share the model's memory.
template <class M>
[[nodiscard]] std::vector<io::TensorEntry> weight_entries(M const& model) {
  std::vector<io::TensorEntry> entries;
  for (auto& slot : weight_slots(model))
    entries.push_back(io::tensor_entry(std::move(slot.name), std::move(slot.shape), slot.values));
  return entries;
}

/// What released files have besides a model's own tensors: each MTP module's copies of the embedding and the
/// head, and the rotary frequencies of each layer.
[[nodiscard]] inline std::vector<IgnoredTensor> ignored_tensors(ModelConfig const& c) {
  auto const size = [](int extent) { return static_cast<std::uint64_t>(extent); };
  std::vector<IgnoredTensor> ignored;
  for (int layer = 0; layer < c.layers + c.mtp_depth; ++layer) {
    std::string const name = text("model.layers.", layer);
    ignored.push_back({name + ".self_attn.rotary_emb.inv_freq", {size(c.mla.rope_dim / 2)}});
    if (layer < c.layers) continue;
    ignored.push_back({name + ".embed_tokens.weight", {size(c.vocab_size), size(c.dim)}});
    ignored.push_back({name + ".shared_head.head.weight", {size(c.vocab_size), size(c.dim)}});
  }
  return ignored;
}

/// Fills a model from tensors of its names and prepares it. On an error the model keeps what it had.
///
/// errors   IoError as fill_slots()
template <class M>
void assign_weights(M& model, std::span<io::TensorEntry const> tensors, std::string_view file,
                    bool allow_nonfinite = false) {
  auto const ignored = ignored_tensors(M::config);
  fill_slots(weight_slots(model), tensors, ignored, file, allow_nonfinite);
  model.prepare();
}

/// Writes parameters and selection biases in the model's master type, F32 (F64 for Fp64), in one step.
///
/// errors   IoError, after which the path has its old content; UsageError for notes the library writes itself
template <class M>
void save_weights(M const& model, std::string const& path, io::Metadata metadata = {}) {
  add_config_notes(metadata, M::config);
  metadata.emplace("format", "pt");  // without it, Hugging Face's loaders refuse the file
  io::write_safetensors(path, weight_entries(model), metadata);
}

/// Reads a file of save_weights() or of anyone who uses the same names, in F64, F32, F16 or BF16, and
/// prepares the model. On an error the model keeps what it had.
///
/// errors   IoError if the file is damaged or its tensors are not the model's; ConfigError if it says that it
///          is of another configuration
template <class M>
void load_weights(M& model, std::string const& path, LoadOptions const& options = {}) {
  io::SafetensorsFile const file(path, options.access);
  if (!options.allow_other_config) expect_same_config(file.metadata(), M::config, path);
  assign_weights(model, file.tensors(), path, options.allow_nonfinite);
}

}  // namespace aeth
