/// Checks a parsed tokenizer.json and takes the vocabulary out of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/byte_alphabet.hpp"
#include "aeth/data/detail/excerpt.hpp"
#include "aeth/data/pre_tokenizer.hpp"
#include "aeth/data/vocabulary.hpp"

namespace aeth::data::detail {

using Json = nlohmann::json;

/// Reads one file; all messages begin with its name.
class TokenizerReader {
 public:
  explicit TokenizerReader(std::string_view name) : name_(name) {}

  [[nodiscard]] Vocabulary read(std::string_view content) {
    Json const root = parse(content);
    require(root.is_object(), "the file is a JSON ", root.type_name(), ", not an object");
    require(is_empty(root, "normalizer"), "it has a normalizer; only files without one are supported");
    for (char const* key : {"truncation", "padding"})
      require(is_null(root, key), "it asks for ", key, "; set it to null");
    check_pre_tokenizer(member(root, "pre_tokenizer", "the file"));
    Json const& decoder = member(root, "decoder", "the file");
    require(type_of(decoder) == "ByteLevel", "its decoder is '", type_of(decoder),
            "'; only ByteLevel is supported");
    Json const& model = member(root, "model", "the file");
    check_model(model);
    read_tokens(member(model, "vocab", "model"),
                root.contains("added_tokens") ? root["added_tokens"] : Json::array());
    read_merges(member(model, "merges", "model"));
    return std::move(result_);
  }

 private:
  template <class... Parts>
  void require(bool condition, Parts const&... parts) const {
    if (!condition) throw DataError(text(name_, ": ", parts...));
  }

  /// Parses with a limit on depth, and without the silent choice among equal keys.
  [[nodiscard]] Json parse(std::string_view content) const {
    constexpr int max_depth = 64;
    std::vector<std::unordered_set<std::string>> keys;
    auto const check = [&](int depth, Json::parse_event_t event, Json& value) {
      require(depth <= max_depth, "JSON deeper than ", max_depth, " levels; this is no tokenizer");
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
      if (event == Json::parse_event_t::object_end) keys.pop_back();
      if (event == Json::parse_event_t::key)
        require(keys.back().insert(value.get_ref<std::string&>()).second, "duplicate key '",
                Excerpt{value.get_ref<std::string&>()}, "'; remove one of them");
      return true;
    };
    try {
      return Json::parse(content, check);
    } catch (Json::exception const& error) {
      throw DataError(
          text(name_, ": not valid JSON (", Excerpt{error.what()}, "); fetch or save the file again"));
    }
  }

  [[nodiscard]] Json const& member(Json const& object, char const* key, char const* where) const {
    require(object.is_object(), where, " is a JSON ", object.type_name(), ", not an object");
    auto const found = object.find(key);
    require(found != object.end(), where, " has no '", key, "'; is this a tokenizer.json?");
    return *found;
  }

  [[nodiscard]] static bool is_null(Json const& object, char const* key) {
    auto const found = object.find(key);
    return found == object.end() || found->is_null();
  }
  [[nodiscard]] static bool is_false(Json const& object, char const* key) {
    return is_null(object, key) || object[key] == false;
  }
  /// Null, or a sequence of nothing.
  [[nodiscard]] static bool is_empty(Json const& object, char const* key) {
    if (is_null(object, key)) return true;
    Json const& value = object[key];
    return type_of(value) == "Sequence" && value.contains("normalizers") && value["normalizers"].is_array() &&
           value["normalizers"].empty();
  }
  [[nodiscard]] static std::string type_of(Json const& object) {
    if (!object.is_object()) return object.type_name();
    auto const found = object.find("type");
    return found != object.end() && found->is_string() ? found->get<std::string>().substr(0, 100) : "?";
  }

  void check_pre_tokenizer(Json const& pre) const {
    constexpr std::size_t stages = std::size(v3_split_patterns);
    char const* const remedy = "; only DeepSeek-V3's sequence of splits is supported";
    require(type_of(pre) == "Sequence", "its pre_tokenizer is '", type_of(pre), "'", remedy);
    Json const& list = member(pre, "pretokenizers", "pre_tokenizer");
    require(list.is_array() && list.size() == stages + 1, "its pre_tokenizer has not ", stages,
            " splits and ByteLevel", remedy);
    for (std::size_t i = 0; i < stages; ++i) {
      Json const& split = list[i];
      require(type_of(split) == "Split", "step ", i, " of the pre_tokenizer is '", type_of(split), "'",
              remedy);
      Json const& pattern = member(member(split, "pattern", "a split"), "Regex", "a split's pattern");
      std::string const spelled =
          pattern.is_string() ? with_escapes(pattern.get_ref<std::string const&>()) : pattern.type_name();
      require(spelled == v3_split_patterns[i], "pattern ", i, " of the pre_tokenizer is ", Excerpt{spelled},
              remedy);
      require(member(split, "behavior", "a split") == "Isolated" && is_false(split, "invert"), "split ", i,
              " of the pre_tokenizer is not 'Isolated' or is inverted", remedy);
    }
    Json const& bytes = list[stages];
    require(type_of(bytes) == "ByteLevel", "the last step of the pre_tokenizer is '", type_of(bytes), "'",
            remedy);
    require(is_false(bytes, "add_prefix_space"),
            "its ByteLevel step adds a space in front; this is not supported");
    require(bytes.contains("use_regex") && bytes["use_regex"] == false,
            "its ByteLevel step splits by a pattern of its own; set use_regex to false");
  }

  /// CR and LF may stand in a pattern as themselves or as escapes.
  [[nodiscard]] static std::string with_escapes(std::string_view pattern) {
    std::string out;
    for (char const c : pattern) {
      if (c == '\r')
        out += "\\r";
      else if (c == '\n')
        out += "\\n";
      else
        out += c;
    }
    return out;
  }

  void check_model(Json const& model) const {
    // Old files leave out the type.
    require(model.is_object() && (type_of(model) == "BPE" || type_of(model) == "?"), "its model is '",
            type_of(model), "'; only BPE is supported");
    for (char const* key : {"fuse_unk", "byte_fallback", "ignore_merges"})
      require(is_false(model, key), "model.", key, " is set; it must be false or absent");
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
      for (char const* key : {"single_word", "lstrip", "rstrip"})
        require(is_false(entry, key), "added token ", i, ": ", key, " is set; this is not supported");
      require(!used[id], "added token ", i, ": id ", id, " is listed twice; remove one of them");
      auto const in_vocab = vocab.find(content.get_ref<std::string const&>());
      require(in_vocab == vocab.end() || *in_vocab == id, "added token ", i,
              ": model.vocab gives it another id than ", id);
      used[id] = 1;
      ++size;
      result_.tokens[id] = content.get<std::string>();
      result_.added.push_back({static_cast<std::int32_t>(id), !is_false(entry, "special")});
    }
    std::sort(result_.added.begin(), result_.added.end(),
              [](auto const& a, auto const& b) { return a.id < b.id; });
    for (auto const& [spelled, number] : vocab.items()) {
      std::size_t const id = place(number, "model.vocab: '", spelled, "'");
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

  std::string name_;
  Vocabulary result_;
  std::unordered_map<std::string, std::int32_t> ids_;  // plain tokens as spelled
};

}  // namespace aeth::data::detail
