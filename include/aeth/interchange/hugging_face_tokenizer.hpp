/// The tokenizer of a Hugging Face folder. Needs nlohmann-json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/text.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "aeth/data/vocabulary.hpp"
#include "aeth/io/json.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::interchange {
namespace detail {

/// What stands around a text by a folder's tokenizer_config.json: with `add_bos_token` its `bos_token`, and so for eos.
inline void read_boundary(io::Json const& config, char const* which, data::Vocabulary& vocabulary,
                          std::vector<std::int32_t>& around, std::string const& path) {
  auto const asked = config.find(text("add_", which, "_token"));
  if (asked == config.end() || !asked->is_boolean() || !asked->get<bool>() || !around.empty()) return;
  std::string const key = text(which, "_token");
  auto const named = config.find(key);
  io::Json const* token = named == config.end() ? nullptr : &*named;
  if (token && token->is_object() && token->contains("content")) token = &(*token)["content"];
  expect<DataError>(token && token->is_string(), path, ": add_", key, " is true, but there is no ", key);
  auto const& spelling = token->get_ref<std::string const&>();
  for (data::AddedToken const& added : vocabulary.added)
    if (vocabulary.tokens[static_cast<std::size_t>(added.id)] == spelling) around = {added.id};
  expect<DataError>(!around.empty(), path, ": ", key, " is ", io::in_quotes(spelling),
                    ", which is no added token of tokenizer.json");
}

}  // namespace detail

/// Reads tokenizer.json and, if it is there, what tokenizer_config.json says about bos and eos around a text.
///
/// errors   DataError as load_tokenizer_json(), and for a tokenizer_config.json whose bos or eos does not exist
[[nodiscard]] inline data::Tokenizer load_hugging_face_tokenizer(std::string const& folder,
                                                                 data::MakeSplitter make_splitter = nullptr) {
  data::Tokenizer tokenizer = data::load_tokenizer_json(folder + "/tokenizer.json", make_splitter);
  std::string const path = folder + "/tokenizer_config.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return tokenizer;
  auto const config = io::read_json<DataError>(path);
  if (!config.is_object()) return tokenizer;
  data::Vocabulary vocabulary = tokenizer.vocabulary();
  detail::read_boundary(config, "bos", vocabulary, vocabulary.before, path);
  detail::read_boundary(config, "eos", vocabulary, vocabulary.after, path);
  if (vocabulary == tokenizer.vocabulary()) return tokenizer;
  return data::Tokenizer(std::move(vocabulary), make_splitter);
}

}  // namespace aeth::interchange
