/// How text is cut into words before merging, as plain data: what a tokenizer.json calls its pre_tokenizer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aeth::data {

/// What becomes of the matches of a pattern and of the text between them.
enum class SplitBehavior : std::uint8_t {
  isolated,              ///< every match is a piece, and so is the text between two of them
  merged_with_previous,  ///< a match ends the piece before it
  merged_with_next,      ///< a match begins the piece after it
  contiguous,            ///< matches that touch are one piece
  removed,  ///< every match is lost; with `invert`, what the pattern leaves out, which should be nothing
};

/// Cuts every piece that the steps before left by one pattern.
struct SplitStep {
  std::string pattern{};  ///< a regular expression, in the syntax of tokenizer.json
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  ///< the text between the matches counts as the matches
  bool operator==(SplitStep const&) const = default;
};

/// The steps in their order; the bytes of a piece that is left at the end are one word.
struct PreTokenizer {
  std::vector<SplitStep> splits{};
  bool prefix_space = false;  ///< then each piece that does not begin with a space gets one in front
  bool gpt2_split = false;    ///< and then it is cut by gpt2_split_pattern, isolated
  bool operator==(PreTokenizer const&) const = default;
};

/// The pattern that byte-level files imply by `use_regex`.
///
/// source   Radford et al. 2019; the ByteLevel pre-tokenizer of the `tokenizers` library
inline constexpr std::string_view gpt2_split_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The patterns of DeepSeek-V3 as tokenizer.json spells them, in the order in which they apply.
inline constexpr std::string_view v3_split_patterns[] = {
    R"(\p{N}{1,3})",
    R"([一-龥぀-ゟ゠-ヿ]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
    R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

/// The pre-tokenizer of DeepSeek-V3 and R1.
[[nodiscard, gnu::cold]] inline PreTokenizer v3_pre_tokenizer() {
  PreTokenizer steps;
  for (std::string_view const pattern : v3_split_patterns) steps.splits.push_back({std::string(pattern)});
  return steps;
}

}  // namespace aeth::data
