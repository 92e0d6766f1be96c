/// The parts of a tokenizer.json as text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "aeth/core/text.hpp"
#include "aeth/data/split_step.hpp"
#include "aeth/data/vocabulary.hpp"

namespace aeth::data::detail {

/// Joins the items of one JSON array or object, one per line.
class JsonLines {
 public:
  void add(std::string_view item) {
    lines_ += lines_.empty() ? "\n      " : ",\n      ";
    lines_ += item;
  }
  [[nodiscard]] std::string const& lines() const noexcept { return lines_; }

 private:
  std::string lines_;
};

[[nodiscard]] inline std::string json_string(std::string_view content) {
  return nlohmann::json(content).dump();
}

[[nodiscard]] inline std::string added_token_json(AddedToken const& token, std::string_view content) {
  return text(R"({"id": )", token.id, R"(, "content": )", content, R"(, "single_word": )", token.single_word,
              R"(, "lstrip": )", token.lstrip, R"(, "rstrip": )", token.rstrip, R"(, "normalized": )",
              token.normalized, R"(, "special": )", token.special, "}");
}

/// The splits, then the byte level.
[[nodiscard]] inline std::string pre_tokenizer_json(PreTokenizer const& pre) {
  constexpr std::string_view behaviors[] = {"Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous",
                                            "Removed"};
  JsonLines steps;
  for (SplitStep const& split : pre.splits)
    steps.add(text(R"({"type": "Split", "pattern": {"Regex": )", json_string(split.pattern),
                   R"(}, "behavior": ")", behaviors[static_cast<std::size_t>(split.behavior)],
                   R"(", "invert": )", split.invert, "}"));
  steps.add(text(R"({"type": "ByteLevel", "add_prefix_space": )", pre.prefix_space,
                 R"(, "trim_offsets": true, "use_regex": )", pre.gpt2_split, "}"));
  return text(R"({"type": "Sequence", "pretokenizers": [)", steps.lines(), "\n  ]}");
}

/// A template of the tokens around a text, or null without any.
[[nodiscard]] inline std::string post_processor_json(Vocabulary const& v) {
  if (v.before.empty() && v.after.empty()) return "null";
  JsonLines single, pair, tokens;
  std::vector<std::int32_t> listed;
  auto const add = [&](std::vector<std::int32_t> const& ids) {
    for (std::int32_t const id : ids) {
      std::string const name = json_string(v.tokens[static_cast<std::size_t>(id)]);
      single.add(text(R"({"SpecialToken": {"id": )", name, R"(, "type_id": 0}})"));
      if (std::find(listed.begin(), listed.end(), id) != listed.end()) continue;
      listed.push_back(id);
      tokens.add(text(name, R"(: {"id": )", name, R"(, "ids": [)", id, R"(], "tokens": [)", name, "]}"));
    }
  };
  add(v.before);
  single.add(R"({"Sequence": {"id": "A", "type_id": 0}})");
  add(v.after);
  for (char const* const part : {"A", "B"})
    pair.add(text(R"({"Sequence": {"id": ")", part, R"(", "type_id": 0}})"));
  return text(R"({"type": "TemplateProcessing", "single": [)", single.lines(), "\n  ], \"pair\": [",
              pair.lines(), "\n  ], \"special_tokens\": {", tokens.lines(), "\n  }}");
}

}  // namespace aeth::data::detail
