/// Tokenizers as Hugging Face `tokenizer.json` files. Needs nlohmann-json.
///
/// Read are byte-level BPE files. Those with the pre-tokenizer of DeepSeek-V3 need nothing else; for others pass
/// pcre2_splitter of aeth/data/pcre2_split.hpp. Whatever would make their tokens differ from ours (another normalizer
/// than NFC, dropout, byte fallback, …) is refused, not ignored. Which bos and eos a post-processor adds is kept in the
/// vocabulary; encode() adds them on request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/byte_alphabet.hpp"
#include "aeth/data/detail/tokenizer_reader.hpp"
#include "aeth/data/detail/tokenizer_writer.hpp"
#include "aeth/data/splitter.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/unicode.hpp"
#include "aeth/data/vocabulary.hpp"
#include "aeth/io/file.hpp"

namespace aeth::data {

/// Largest tokenizer.json that is read, in bytes; that of DeepSeek-V3 has 8 MB.
inline constexpr std::uint64_t max_tokenizer_bytes = std::uint64_t{256} << 20;

/// The tokenizer in a file's content; `name` is for messages.
///
/// errors   DataError with the rule that is broken and the index of the merge or added token; as the constructor
///          of Tokenizer
[[nodiscard]] inline Tokenizer parse_tokenizer_json(std::string_view content, std::string const& name,
                                                    MakeSplitter make_splitter = nullptr) {
  Vocabulary vocabulary = detail::TokenizerReader(name).read(content);
  try {
    return Tokenizer(std::move(vocabulary), make_splitter);
  } catch (DataError const& error) {
    throw DataError(text(name, ": ", error.what()));
  }
}

/// Reads a tokenizer.json. Errors: as parse_tokenizer_json(); IoError if the file cannot be read.
[[nodiscard]] inline Tokenizer load_tokenizer_json(std::string const& path,
                                                   MakeSplitter make_splitter = nullptr) {
  return parse_tokenizer_json(io::read_file(path, max_tokenizer_bytes), path, make_splitter);
}

/// A tokenizer as tokenizer.json; reading it gives an equal tokenizer.
///
/// errors   DataError if an added token is not UTF-8 or JSON would spell a plain token like it
[[nodiscard]] inline std::string to_tokenizer_json(Tokenizer const& tokenizer) {
  using detail::json_string;
  Vocabulary const& v = tokenizer.vocabulary();
  std::vector<std::string> spelled;
  for (std::string const& token : v.tokens) spelled.push_back(json_string(detail::spell_bytes(token)));
  detail::JsonLines added, vocab, merges;
  for (AddedToken const& token : v.added) {
    std::string const& content = v.tokens[static_cast<std::size_t>(token.id)];
    expect<DataError>(count_invalid_utf8(content) == 0, "tokenizer: added token ", token.id,
                      " is not UTF-8 and cannot be written to JSON; choose another spelling");
    spelled[static_cast<std::size_t>(token.id)] = json_string(content);
    added.add(detail::added_token_json(token, spelled[static_cast<std::size_t>(token.id)]));
  }
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < spelled.size(); ++id) {
    auto const [same, fresh] = ids.emplace(spelled[id], id);
    expect<DataError>(fresh, "tokenizer: JSON would spell tokens ", same->second, " and ", id,
                      " alike; choose another spelling of the added one");
  }
  // Readers number added tokens that the vocabulary lacks from its end on, so only the last ones are left
  // out.
  std::size_t size = v.tokens.size();
  for (std::size_t n = v.added.size(); n > 0 && static_cast<std::size_t>(v.added[n - 1].id) + 1 == size; --n)
    --size;
  for (std::size_t id = 0; id < size; ++id) vocab.add(text(spelled[id], ": ", id));
  for (Merge const& merge : v.merges)
    merges.add(text("[", spelled[static_cast<std::size_t>(merge.left)], ", ",
                    spelled[static_cast<std::size_t>(merge.right)], "]"));
  return text(R"({
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [)",
              added.lines(), R"(
  ],
  "normalizer": )",
              v.normalization == Normalization::nfc ? R"({"type": "NFC"})" : "null", R"(,
  "pre_tokenizer": )",
              detail::pre_tokenizer_json(v.pre_tokenizer), R"(,
  "post_processor": )",
              detail::post_processor_json(v), R"(,
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": )",
              v.ignore_merges, R"(,
    "vocab": {)",
              vocab.lines(), R"(
    },
    "merges": [)",
              merges.lines(), R"(
    ]
  }
}
)");
}

/// Writes a tokenizer.json in one step. Errors: as to_tokenizer_json(); IoError if it cannot be written.
inline void save_tokenizer_json(Tokenizer const& tokenizer, std::string const& path) {
  io::write_file_atomic(path, to_tokenizer_json(tokenizer));
}

}  // namespace aeth::data
