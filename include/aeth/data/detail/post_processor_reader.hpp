/// Takes out of a parsed tokenizer.json which tokens stand around a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "aeth/data/detail/excerpt.hpp"
#include "aeth/data/detail/json_file.hpp"

namespace aeth::data::detail {

/// Tokens before and after a text.
struct AroundText {
  std::vector<std::int32_t> before, after;
};

/// Reads TemplateProcessing and ByteLevel, alone or in sequences; other kinds are refused.
class PostProcessorReader : JsonFile {
 public:
  using JsonFile::JsonFile;

  [[nodiscard]] AroundText read(Json const& post) {
    step(post);
    return result_;
  }

 private:
  void step(Json const& post) {
    std::string const type = type_of(post);
    if (type == "Sequence") {
      Json const& list = member(post, "processors", "post_processor");
      require(list.is_array(), "processors is a JSON ", list.type_name(), ", not an array");
      for (Json const& inner : list) step(inner);
    } else if (type == "TemplateProcessing") {
      require(!has_template_, "its post_processor has two templates; remove one of them");
      has_template_ = true;
      read_template(member(post, "single", "a template"), member(post, "special_tokens", "a template"));
    } else {
      // ByteLevel changes offsets only, which are not kept.
      require(type == "ByteLevel", "its post_processor has a step '", type,
              "'; only TemplateProcessing and ByteLevel are supported");
    }
  }

  void read_template(Json const& pieces, Json const& tokens) {
    require(pieces.is_array(), "a template's single is a JSON ", pieces.type_name(), ", not an array");
    bool seen_text = false;
    for (Json const& piece : pieces) {
      require(piece.is_object(), "a template's piece is a JSON ", piece.type_name(), ", not an object");
      if (piece.contains("Sequence")) {
        require(!seen_text, "its post_processor repeats the text; this is not supported");
        seen_text = true;
        continue;
      }
      Json const& name =
          member(member(piece, "SpecialToken", "a template's piece"), "id", "a template's piece");
      require(name.is_string(), "a template names a token by a JSON ", name.type_name());
      auto const& key = name.get_ref<std::string const&>();
      Json const& ids = member(member(tokens, key.c_str(), "special_tokens"), "ids", "a special token");
      require(ids.is_array(), "a template's ids are a JSON ", ids.type_name(), ", not an array");
      for (Json const& id : ids) {
        require(id.is_number_integer() && id >= 0 && id <= INT32_MAX, "template token '", Excerpt{key},
                "' has no id");
        (seen_text ? result_.after : result_.before).push_back(id.get<std::int32_t>());
      }
    }
    require(seen_text, "its post_processor leaves out the text");
  }

  AroundText result_;
  bool has_template_ = false;
};

}  // namespace aeth::data::detail
