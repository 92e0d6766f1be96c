/// Checks a parsed tokenizer.json and takes the vocabulary out of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aeth/data/detail/byte_alphabet.hpp"
#include "aeth/data/detail/excerpt.hpp"
#include "aeth/data/detail/json_file.hpp"
#include "aeth/data/detail/post_processor_reader.hpp"
#include "aeth/data/detail/pre_tokenizer_reader.hpp"
#include "aeth/data/vocabulary.hpp"

namespace aeth::data::detail {

/// Reads one file; all messages begin with its name.
class TokenizerReader : JsonFile {
 public:
  using JsonFile::JsonFile;

  [[nodiscard]] Vocabulary read(std::string_view content) {
    Json const root = parse(content);
    require(root.is_object(), "the file is a JSON ", root.type_name(), ", not an object");
    if (!is_null(root, "normalizer")) read_normalizer(root["normalizer"]);
    for (char const* key : {"truncation", "padding"})
      require(is_null(root, key), "it asks for ", key, "; set it to null");
    result_.pre_tokenizer = PreTokenizerReader(name_).read(member(root, "pre_tokenizer", "the file"));
    Json const& decoder = member(root, "decoder", "the file");
    require(type_of(decoder) == "ByteLevel", "its decoder is '", type_of(decoder),
            "'; only ByteLevel is supported");
    Json const& model = member(root, "model", "the file");
    read_model(model);
    read_tokens(member(model, "vocab", "model"),
                root.contains("added_tokens") ? root["added_tokens"] : Json::array());
    read_merges(member(model, "merges", "model"));
    if (!is_null(root, "post_processor")) {
      AroundText around = PostProcessorReader(name_).read(root["post_processor"]);
      result_.before = std::move(around.before);
      result_.after = std::move(around.after);
    }
    return std::move(result_);
  }

 private:
  /// NFC, alone or in sequences; twice is as once.
  void read_normalizer(Json const& normalizer) {
    std::string const type = type_of(normalizer);
    require(type == "Sequence" || type == "NFC", "its normalizer is '", type, "'; only NFC is supported");
    if (type == "NFC") {
      result_.normalization = Normalization::nfc;
      return;
    }
    Json const& list = member(normalizer, "normalizers", "normalizer");
    require(list.is_array(), "normalizers is a JSON ", list.type_name(), ", not an array");
    for (Json const& inner : list) read_normalizer(inner);
  }

  void read_model(Json const& model) {
    // Old files leave out the type.
    require(model.is_object() && (type_of(model) == "BPE" || type_of(model) == "?"), "its model is '",
            type_of(model), "'; only BPE is supported");
    require(!flag(model, "byte_fallback", false),
            "model.byte_fallback is set, so it is not byte-level; it must be false or absent");
    result_.ignore_merges = flag(model, "ignore_merges", false);
    for (char const* key : {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"})
      require(is_null(model, key) || model[key] == "", "model.", key, " is set; it must be null or absent");
  }

  void read_tokens(Json const& vocab, Json const& added) {
    require(vocab.is_object(), "model.vocab is a JSON ", vocab.type_name(), ", not an object");
    require(added.is_array(), "added_tokens is a JSON ", added.type_name(), ", not an array");
    std::size_t const most = vocab.size() + added.size();
    std::vector<char> used(most, 0);
    result_.tokens.resize(most);
    std::size_t size = 0;
    auto const place = [&](Json const& id, auto const&... what) {
      require(id.is_number_integer() && id >= 0 && id < most, what..., " has the id ",
              id.is_number() ? id.dump() : id.type_name(), "; ids count from 0 without holes");
      return id.get<std::size_t>();
    };
    for (std::size_t i = 0; i < added.size(); ++i) {
      Json const& entry = added[i];
      Json const& content = member(entry, "content", "an added token");
      require(content.is_string() && content != "", "added token ", i, " has no content");
      std::size_t const id = place(member(entry, "id", "an added token"), "added token ", i);
      require(!used[id], "added token ", i, ": id ", id, " is listed twice; remove one of them");
      auto const in_vocab = vocab.find(content.get_ref<std::string const&>());
      require(in_vocab == vocab.end() || *in_vocab == id, "added token ", i,
              ": model.vocab gives it another id than ", id);
      used[id] = 1;
      ++size;
      result_.tokens[id] = content.get<std::string>();
      result_.added.push_back({.id = static_cast<std::int32_t>(id),
                               .special = flag(entry, "special", false),
                               .normalized = flag(entry, "normalized", false),
                               .lstrip = flag(entry, "lstrip", false),
                               .rstrip = flag(entry, "rstrip", false),
                               .single_word = flag(entry, "single_word", false)});
    }
    std::sort(result_.added.begin(), result_.added.end(),
              [](auto const& a, auto const& b) { return a.id < b.id; });
    for (auto const& [spelled, number] : vocab.items()) {
      std::size_t const id = place(number, "model.vocab: '", Excerpt{spelled}, "'");
      if (used[id] == 1 && result_.tokens[id] == spelled) {
        used[id] = 2;
        continue;
      }
      require(!used[id], "model.vocab: id ", id, " is given twice, also to '", Excerpt{spelled}, "'");
      require(unspell_bytes(spelled, result_.tokens[id]), "model.vocab: token '", Excerpt{spelled}, "' (id ",
              id, ") is not spelled in the byte-level alphabet");
      used[id] = 2;
      ids_.emplace(spelled, static_cast<std::int32_t>(id));
      ++size;
    }
    result_.tokens.resize(size);
    std::size_t const hole = static_cast<std::size_t>(std::find(used.begin(), used.end(), 0) - used.begin());
    require(hole >= size, "no token has id ", hole, ", but some have higher ones; ids must have no holes");
  }

  void read_merges(Json const& merges) {
    require(merges.is_array(), "model.merges is a JSON ", merges.type_name(), ", not an array");
    result_.merges.reserve(merges.size());
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      Json const& merge = merges[rank];
      std::string left, right;
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get<std::string>();
        right = merge[1].get<std::string>();
      } else {
        require(merge.is_string(), "merge ", rank, " is neither a string nor a pair of strings");
        auto const& both = merge.get_ref<std::string const&>();
        std::size_t const blank = both.find(' ');
        require(blank != both.npos && both.find(' ', blank + 1) == both.npos, "merge ", rank, ": '",
                Excerpt{both}, "' is not two tokens with one space between");
        left = both.substr(0, blank);
        right = both.substr(blank + 1);
      }
      result_.merges.push_back({id_of(left, rank), id_of(right, rank)});
    }
  }

  [[nodiscard]] std::int32_t id_of(std::string const& token, std::size_t rank) const {
    auto const found = ids_.find(token);
    require(found != ids_.end(), "merge ", rank, ": '", Excerpt{token}, "' is no token of model.vocab");
    return found->second;
  }

  Vocabulary result_;
  std::unordered_map<std::string, std::int32_t> ids_;  // plain tokens as spelled
};

}  // namespace aeth::data::detail
