/// Takes the pre-tokenizer out of a parsed tokenizer.json.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "aeth/data/detail/excerpt.hpp"
#include "aeth/data/detail/json_file.hpp"
#include "aeth/data/split_step.hpp"

namespace aeth::data::detail {

/// Reads Split, Digits and ByteLevel, alone or in sequences; other kinds are refused.
class PreTokenizerReader : JsonFile {
 public:
  using JsonFile::JsonFile;

  [[nodiscard]] PreTokenizer read(Json const& pre) {
    step(pre);
    require(has_bytes_, "its pre_tokenizer has no ByteLevel step; only byte-level files are supported");
    return std::move(result_);
  }

 private:
  static constexpr std::size_t max_splits = 64;  // those of known models have at most six

  void step(Json const& pre) {
    std::string const type = type_of(pre);
    require(!has_bytes_, "its pre_tokenizer has a step '", type, "' after ByteLevel, which must be the last");
    if (type == "Sequence") {
      Json const& list = member(pre, "pretokenizers", "pre_tokenizer");
      require(list.is_array(), "pretokenizers is a JSON ", list.type_name(), ", not an array");
      for (Json const& inner : list) step(inner);
    } else if (type == "Split") {
      bool const invert = flag(pre, "invert", false);
      add({pattern(member(pre, "pattern", "a split")), behavior(member(pre, "behavior", "a split"), invert),
           invert});
    } else if (type == "Digits") {
      bool const alone = flag(pre, "individual_digits", false);
      add({R"(\p{N})", alone ? SplitBehavior::isolated : SplitBehavior::contiguous, false});
    } else {
      require(type == "ByteLevel", "its pre_tokenizer has a step '", type,
              "'; only Split, Digits and ByteLevel are supported");
      result_.prefix_space = flag(pre, "add_prefix_space", false);
      result_.gpt2_split = flag(pre, "use_regex", true);
      has_bytes_ = true;
    }
  }

  void add(SplitStep split) {
    require(result_.splits.size() < max_splits, "its pre_tokenizer has more than ", max_splits, " splits");
    result_.splits.push_back(std::move(split));
  }

  /// A regular expression, or a text that becomes one.
  [[nodiscard]] std::string pattern(Json const& pattern) const {
    bool const is_text = pattern.is_object() && pattern.contains("String");
    Json const& spelled = member(pattern, is_text ? "String" : "Regex", "a split's pattern");
    require(spelled.is_string() && spelled != "", "split ", result_.splits.size(),
            " of the pre_tokenizer has no pattern");
    auto const& content = spelled.get_ref<std::string const&>();
    return is_text ? quoted(content) : with_escapes(content);
  }

  /// Removed is what files of cl100k's kind say, inverted, of a pattern that leaves nothing out.
  [[nodiscard]] SplitBehavior behavior(Json const& name, bool invert) const {
    if (name == "Removed" && invert) return SplitBehavior::removed;
    if (name == "Isolated") return SplitBehavior::isolated;
    if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
    require(name == "Contiguous", "split ", result_.splits.size(), " of the pre_tokenizer has the behavior ",
            Excerpt{name.dump(-1, ' ', false, Json::error_handler_t::replace)},
            "; 'Removed' without invert would lose text, others are unknown");
    return SplitBehavior::contiguous;
  }

  /// A text as the regular expression that matches it.
  [[nodiscard]] static std::string quoted(std::string_view content) {
    std::string out;
    for (char const c : content) {
      if (std::string_view(R"(\^$.|?*+()[]{})").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
    return with_escapes(out);
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

  PreTokenizer result_;
  bool has_bytes_ = false;
};

}  // namespace aeth::data::detail
