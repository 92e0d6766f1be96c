/// Exporting a model as a Hugging Face folder that Transformers and serving engines open. Needs nlohmann-json.
#pragma once

#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "aeth/config/describe.hpp"
#include "aeth/core/error.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "aeth/interchange/detail/outgoing.hpp"
#include "aeth/interchange/expected_tensors.hpp"
#include "aeth/interchange/to_config_json.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/json.hpp"
#include "aeth/io/safetensors_writer.hpp"
#include "aeth/model/weight_slots.hpp"
#include "aeth/model/weights.hpp"

namespace aeth::interchange {

struct ExportOptions {
  WeightType type = WeightType::bf16;
  ScaleForm scale_form = ScaleForm::any;      ///< of FP8 weights
  std::uint64_t shard_bytes = 5'000'000'000;  ///< a shard is closed before it grows beyond this
  bool mtp_copies = true;  ///< MTP modules get copies of embedding and head, as released files have
  std::string title = "A model made with aeth";  ///< of the README
};

namespace detail {

/// A folder that is filled under another name and appears as a whole.
class AtomicFolder {
 public:
  /// errors   IoError if there is something at the path already, or the folder cannot be made
  explicit AtomicFolder(std::string path) : path_(std::move(path)) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
    temporary_ = text(path_, ".tmp-", ::getpid());
    namespace fs = std::filesystem;
    std::error_code error;
    bool const taken =
        fs::exists(path_, error) && !(fs::is_directory(path_, error) && fs::is_empty(path_, error));
    expect<IoError>(!taken, "export: '", path_, "' is there already; give a new folder, or remove that one");
    fs::remove_all(temporary_, error);
    fs::create_directories(temporary_, error);
    if (error) throw_error("create", temporary_, error);
  }
  AtomicFolder(AtomicFolder const&) = delete;
  AtomicFolder& operator=(AtomicFolder const&) = delete;
  ~AtomicFolder() {
    std::error_code ignored;
    if (!done_) std::filesystem::remove_all(temporary_, ignored);
  }

  [[nodiscard]] std::string file(std::string const& name) const { return temporary_ + '/' + name; }

  void commit() {
    std::error_code error;
    std::filesystem::rename(temporary_, path_, error);
    if (error) throw_error("replace", path_, error);
    done_ = true;
    io::flush_folder_of(path_);
  }

 private:
  [[noreturn]] static void throw_error(char const* action, std::string const& path, std::error_code error) {
    throw IoError(
        text("cannot ", action, " '", path, "': ", error.message(), "; ", io::remedy(error.value())));
  }

  std::string path_, temporary_;
  bool done_ = false;
};

/// The README of an exported folder.
[[nodiscard]] inline std::string model_readme(ModelConfig const& c, ExportOptions const& options) {
  return text("# ", options.title, "\n\nA DeepSeek-style language model (",
              is_v2(c) ? "deepseek_v2" : "deepseek_v3", "): latent attention, ",
              c.moe.experts > 0 ? "mixture of experts" : "dense layers",
              c.mtp_depth > 0 ? ", multi-token prediction" : "", ".\n\n```\n", card_table(c, c.max_context),
              "```\n\n## Use\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
              "model = AutoModelForCausalLM.from_pretrained(\"this/folder\")\n"
              "tokenizer = AutoTokenizer.from_pretrained(\"this/folder\")\n```\n");
}

[[nodiscard]] inline std::string generation_config_json(BoundaryTokens tokens) {
  io::Json out = io::Json::object();
  if (tokens.bos >= 0) out["bos_token_id"] = tokens.bos;
  if (tokens.eos >= 0) out["eos_token_id"] = tokens.eos;
  if (tokens.pad >= 0) out["pad_token_id"] = tokens.pad;
  return out.dump(2) + '\n';
}

[[nodiscard]] inline std::string tokenizer_config_json(data::Tokenizer const& tokenizer,
                                                       ModelConfig const& c) {
  io::Json out{{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"model_max_length", c.max_context},
               {"clean_up_tokenization_spaces", false},
               {"add_bos_token", !tokenizer.vocabulary().before.empty()},
               {"add_eos_token", !tokenizer.vocabulary().after.empty()}};
  auto const name = [&](char const* key, std::int32_t id) {
    if (id >= 0) out[key] = tokenizer.token_bytes(id);
  };
  name("bos_token", tokenizer.special_tokens().bos);
  name("eos_token", tokenizer.special_tokens().eos);
  name("pad_token", tokenizer.special_tokens().pad);
  return out.dump(2) + '\n';
}

/// Index of the first tensor of each shard, and the count of tensors at the end.
[[nodiscard]] inline std::vector<std::size_t> cut_shards(std::vector<io::TensorEntry> const& entries,
                                                         std::uint64_t shard_bytes) {
  std::vector<std::size_t> cuts{0};
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::uint64_t const bytes = *io::byte_count(entries[i].dtype, entries[i].shape);
    if (i > cuts.back() && bytes > shard_bytes - (std::min)(size, shard_bytes)) {
      cuts.push_back(i);
      size = 0;
    }
    size += bytes;
  }
  cuts.push_back(entries.size());
  return cuts;
}

/// model-00002-of-00005.safetensors; one shard has the plain name.
[[nodiscard]] inline std::string shard_name(std::size_t shard, std::size_t shards) {
  auto const digits = [](std::size_t n) {
    std::string const out = text(n);
    return std::string(out.size() < 5 ? 5 - out.size() : 0, '0') + out;
  };
  return shards == 1 ? std::string("model.safetensors")
                     : text("model-", digits(shard + 1), "-of-", digits(shards), ".safetensors");
}

/// Writes all shards and, for more than one, their index.
template <class M>
void write_shards(M const& model, AtomicFolder const& folder, ExportOptions const& options) {
  auto const tensors = expected_tensors(M::config);
  std::vector<io::TensorEntry> entries;
  std::vector<Outgoing> outgoing;
  list_outgoing(M::config, tensors, options.type, options.mtp_copies, entries, outgoing);
  std::vector<std::span<typename M::Master const>> values;
  for (auto const& slot : weight_slots(model)) values.push_back(slot.values);
  OutgoingWriter<typename M::Master> writer(tensors, std::move(values), options.scale_form);
  io::Metadata metadata{{"format", "pt"}};  // without it, Hugging Face's loaders refuse the file
  add_config_notes(metadata, M::config);
  auto const cuts = cut_shards(entries, options.shard_bytes);
  io::Json index{{"metadata", {{"total_size", 0}}}, {"weight_map", io::Json::object()}};
  std::uint64_t total = 0;
  for (std::size_t shard = 0; shard + 1 < cuts.size(); ++shard) {
    std::string const name = shard_name(shard, cuts.size() - 1);
    auto const part = std::span(entries).subspan(cuts[shard], cuts[shard + 1] - cuts[shard]);
    io::SafetensorsWriter file(folder.file(name), part, metadata);
    for (io::TensorEntry const* const entry : file.order()) {
      writer.write(*entry, outgoing[static_cast<std::size_t>(entry - entries.data())], file);
      index["weight_map"][entry->name] = name;
      total += *io::byte_count(entry->dtype, entry->shape);
    }
    file.commit();
  }
  index["metadata"]["total_size"] = total;
  if (cuts.size() > 2)
    io::write_file_atomic(folder.file("model.safetensors.index.json"), index.dump(2) + '\n');
}

}  // namespace detail

/// Writes config.json, generation_config.json, README.md, the weights in shards and, if given, the tokenizer. The
/// folder appears when all is in it.
///
/// types    F32; BF16; or FP8: codes and scales for every linear layer, BF16 for embedding, head, router, norms and
///          eh_proj. Selection biases are always F32.
/// errors   ConfigError for what other engines cannot express; NumericError for values that are not finite;
///          IoError, also if the folder is there already. Then the folder is not.
/// cost     reads the model once (FP8: twice); a strip of 128 rows of memory
template <class M>
void save_hugging_face(M const& model, data::Tokenizer const* tokenizer, std::string const& path,
                       ExportOptions const& options = {}) {
  BoundaryTokens tokens;
  if (tokenizer) {
    auto const& special = tokenizer->special_tokens();
    tokens = {special.bos, special.eos, special.pad};
  }
  std::string const config = to_config_json(M::config, options.type, tokens, options.scale_form);
  detail::AtomicFolder folder(path);
  detail::write_shards(model, folder, options);
  io::write_file_atomic(folder.file("config.json"), config);
  io::write_file_atomic(folder.file("generation_config.json"), detail::generation_config_json(tokens));
  io::write_file_atomic(folder.file("README.md"), detail::model_readme(M::config, options));
  if (tokenizer) {
    data::save_tokenizer_json(*tokenizer, folder.file("tokenizer.json"));
    io::write_file_atomic(folder.file("tokenizer_config.json"),
                          detail::tokenizer_config_json(*tokenizer, M::config));
  }
  folder.commit();
}

}  // namespace aeth::interchange
