/// Tokenizers as the `tokenizer.ggml.` keys of GGUF files.
///
/// source   llama.cpp, https://github.com/ggml-org/llama.cpp: `llama-vocab.cpp` and its converter
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/byte_alphabet.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/unicode.hpp"
#include "aeth/data/vocabulary.hpp"
#include "aeth/io/gguf_value.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::interchange {

/// The keys of a vocabulary in the spelling of tokenizer.json, and of the pre-tokenizer of DeepSeek-V3.
inline constexpr std::string_view gguf_tokenizer_model = "gpt2", gguf_pre_tokenizer = "deepseek-v3";

namespace detail {

/// What a token is, by the numbers of files. Types 2 (unknown) and 6 (byte) belong to other tokenizers.
enum GgufTokenType : std::int32_t { normal = 1, control = 3, user_defined = 4, unused = 5 };

[[nodiscard]] inline std::string padding_token(std::size_t id) {
  return text("[PAD", id, ']');
}

/// Reads one file's tokenizer; all messages begin with its name.
class GgufTokenizerReader {
 public:
  GgufTokenizerReader(io::GgufMetadata const& metadata, std::string_view file)
      : metadata_(metadata), file_(file) {}

  [[nodiscard]] data::Vocabulary read() {
    for (auto const& [key, wanted] :
         {std::pair{"model", gguf_tokenizer_model}, {"pre", gguf_pre_tokenizer}}) {
      auto const& found = at<std::string>(key);
      require(found == wanted, "tokenizer.ggml.", key, " is ", io::in_quotes(found), "; only '", wanted,
              "' is supported");
    }
    read_tokens(at<std::vector<std::string>>("tokens"), at<std::vector<std::int32_t>>("token_type"));
    read_merges(at<std::vector<std::string>>("merges"));
    result_.before = read_boundary("bos");
    result_.after = read_boundary("eos");
    return std::move(result_);
  }

 private:
  template <class... Parts>
  void require(bool condition, Parts const&... parts) const {
    if (!condition) throw DataError(text(file_, ": ", parts...));
  }

  template <class T>
  [[nodiscard]] T const& at(std::string_view key) const {
    T const* const found = io::find_value<T>(metadata_, text("tokenizer.ggml.", key));
    require(found != nullptr, "tokenizer.ggml.", key,
            " is missing or of another type; the file has no tokenizer that is read");
    return *found;
  }

  /// The token that stands before or after every text, if one does.
  [[nodiscard]] std::vector<std::int32_t> read_boundary(std::string_view which) const {
    bool const* const asked = io::find_value<bool>(metadata_, text("tokenizer.ggml.add_", which, "_token"));
    if (asked == nullptr || !*asked) return {};
    auto const id = at<std::uint32_t>(text(which, "_token_id"));
    require(id < result_.tokens.size(), "tokenizer.ggml.", which, "_token_id is ", id, ", the file has ",
            result_.tokens.size(), " tokens");
    return {static_cast<std::int32_t>(id)};
  }

  void read_tokens(std::vector<std::string> const& tokens, std::vector<std::int32_t> const& types) {
    require(types.size() == tokens.size(), "it has ", tokens.size(), " tokens and ", types.size(),
            " token types; convert it again");
    std::size_t size = tokens.size();
    while (size > 0 && types[size - 1] == unused && tokens[size - 1] == padding_token(size - 1)) --size;
    for (std::size_t id = 0; id < size; ++id) {
      auto const type = types[id];
      bool const added = type == control || type == user_defined;
      require(added || type == normal, "token ", id, ", ", io::in_quotes(tokens[id]), ", has type ", type,
              "; a byte-level vocabulary has only 1, 3, 4, and 5 at its end");
      std::string bytes = tokens[id];
      require(added || data::detail::unspell_bytes(tokens[id], bytes), "token ", id, ", ",
              io::in_quotes(tokens[id]), ", has a character outside the byte-level alphabet");
      if (added)
        result_.added.push_back({static_cast<std::int32_t>(id), type == control});
      else
        ids_.emplace(tokens[id], static_cast<std::int32_t>(id));
      result_.tokens.push_back(std::move(bytes));
    }
  }

  void read_merges(std::vector<std::string> const& merges) {
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      std::string_view const merge = merges[rank];
      std::size_t const blank = merge.find(' ');
      require(blank != merge.npos, "merge ", rank, ", ", io::in_quotes(merge), ", is not two tokens");
      auto const left = ids_.find(merge.substr(0, blank)), right = ids_.find(merge.substr(blank + 1));
      require(left != ids_.end() && right != ids_.end(), "merge ", rank, ", ", io::in_quotes(merge),
              ", uses a token that the vocabulary lacks");
      result_.merges.push_back({left->second, right->second});
    }
  }

  io::GgufMetadata const& metadata_;
  std::string_view file_;
  data::Vocabulary result_;
  std::unordered_map<std::string_view, std::int32_t> ids_;  // of plain tokens, by their spelling
};

}  // namespace detail

/// The keys of a tokenizer for a model with `vocab_size` rows; ids beyond the tokenizer's become unused ones.
///
/// errors   ConfigError if the tokenizer has more ids; DataError if it is of another family than DeepSeek-V3's,
///          whose name the file gives, if it has no bos or eos, if an added token is not UTF-8, or if two tokens are spelled alike
[[nodiscard]] inline io::GgufMetadata gguf_tokenizer_keys(data::Tokenizer const& tokenizer, int vocab_size) {
  data::Vocabulary const& v = tokenizer.vocabulary();
  expect<ConfigError>(tokenizer.size() <= vocab_size, "gguf: the tokenizer has ", tokenizer.size(),
                      " ids, the model ", vocab_size, "; they do not belong together");
  expect<DataError>(
      v.pre_tokenizer == data::v3_pre_tokenizer() && v.normalization == data::Normalization::none &&
          !v.ignore_merges,
      "gguf: the tokenizer splits, normalises or merges text in another way than DeepSeek-V3's, and a "
      "file would give other ids; export the model without a tokenizer");
  data::SpecialTokens const& special = tokenizer.special_tokens();
  expect<DataError>(special.bos >= 0 && special.eos >= 0,
                    "gguf: the tokenizer has no bos or no eos; others would be made up for it");
  auto const is_only = [](std::vector<std::int32_t> const& around, std::int32_t id) {
    return around.empty() || (around.size() == 1 && around[0] == id);
  };
  expect<DataError>(
      is_only(v.before, special.bos) && is_only(v.after, special.eos),
      "gguf: the tokenizer puts other tokens around a text than bos and eos, which files cannot say");
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> types(static_cast<std::size_t>(vocab_size), detail::normal);
  for (std::string const& token : v.tokens) tokens.push_back(data::detail::spell_bytes(token));
  for (data::AddedToken const& token : v.added) {
    auto const id = static_cast<std::size_t>(token.id);
    expect<DataError>(
        !token.lstrip && !token.rstrip && !token.single_word, "gguf: added token ", token.id,
        " takes in space around it or wants to stand alone, which files cannot say; make it plain");
    expect<DataError>(data::count_invalid_utf8(v.tokens[id]) == 0, "gguf: added token ", token.id,
                      " is not UTF-8 and cannot be written; choose another spelling");
    tokens[id] = v.tokens[id];
    types[id] = token.special ? detail::control : detail::user_defined;
  }
  for (data::Merge const& merge : v.merges)
    merges.push_back(text(tokens[static_cast<std::size_t>(merge.left)], ' ',
                          tokens[static_cast<std::size_t>(merge.right)]));
  for (std::size_t id = tokens.size(); id < types.size(); ++id) {
    tokens.push_back(detail::padding_token(id));
    types[id] = detail::unused;
  }
  std::unordered_set<std::string_view> seen;
  for (std::size_t id = 0; id < tokens.size(); ++id)
    expect<DataError>(seen.insert(tokens[id]).second, "gguf: token ", id, " is spelled ",
                      io::in_quotes(tokens[id]), " as another one is; files must tell them apart");
  io::GgufMetadata out{
      {"tokenizer.ggml.model", std::string(gguf_tokenizer_model)},
      {"tokenizer.ggml.pre", std::string(gguf_pre_tokenizer)},
      {"tokenizer.ggml.tokens", std::move(tokens)},
      {"tokenizer.ggml.token_type", std::move(types)},
      {"tokenizer.ggml.merges", std::move(merges)},
      {"tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(special.bos)},
      {"tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(special.eos)},
      {"tokenizer.ggml.add_bos_token", !v.before.empty()},
      {"tokenizer.ggml.add_eos_token", !v.after.empty()},
  };
  if (special.pad >= 0)
    out.emplace("tokenizer.ggml.padding_token_id", static_cast<std::uint32_t>(special.pad));
  return out;
}

/// The tokenizer of a file's keys.
///
/// errors   DataError with the index of the token or merge; as data::check_vocabulary()
[[nodiscard]] inline data::Tokenizer read_gguf_tokenizer(io::GgufMetadata const& metadata,
                                                         std::string_view file) {
  data::Vocabulary vocabulary = detail::GgufTokenizerReader(metadata, file).read();
  try {
    return data::Tokenizer(std::move(vocabulary));
  } catch (DataError const& error) {
    throw DataError(text(file, ": ", error.what()));
  }
}

}  // namespace aeth::interchange
