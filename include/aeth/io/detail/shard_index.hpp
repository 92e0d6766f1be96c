/// The index of a checkpoint in several files: which shard holds which tensor.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "aeth/core/error.hpp"
#include "aeth/io/json.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io::detail {

inline constexpr char index_name[] = "model.safetensors.index.json", single_name[] = "model.safetensors";

/// Tensor names under the name of their shard, both sorted.
using ShardIndex = std::map<std::string, std::map<std::string, bool, std::less<>>, std::less<>>;

/// Whether a shard lies in its folder. A link may also lead to the `blobs` two folders up, where download
/// caches keep the bytes of a folder of links.
[[nodiscard]] inline bool stays_inside(std::string const& folder, std::string const& shard) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path const target = fs::canonical(fs::path(folder) / shard, error);
  if (error) return true;  // opening it will tell why
  fs::path const inside = fs::canonical(folder, error);
  if (error) return true;
  return target.parent_path() == inside ||
         target.parent_path() == inside.parent_path().parent_path() / "blobs";
}

/// Reads an index.
///
/// errors   IoError naming the entry: no JSON object, no weight_map, a shard that is no plain file name (a path
///          would lead out of the folder)
[[nodiscard]] inline ShardIndex read_shard_index(std::string_view content, std::string const& file) {
  Json const root = parse_json<IoError>(content, file);
  bool const has_map = root.is_object() && root.contains("weight_map") && root["weight_map"].is_object();
  expect<IoError>(has_map, file, ": it has no weight_map; is this the index of a checkpoint?");
  ShardIndex shards;
  for (auto const& [tensor, shard] : root["weight_map"].items()) {
    expect<IoError>(shard.is_string(), file, ": the shard of ", in_quotes(tensor), " is no text");
    auto const& name = shard.template get_ref<std::string const&>();
    bool const plain = !name.empty() && name != "." && name != ".." &&
                       name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
    expect<IoError>(plain, file, ": the shard of ", in_quotes(tensor), " is ", in_quotes(name),
                    "; a shard must be a file of the same folder");
    shards[name].emplace(tensor, false);
  }
  expect<IoError>(!shards.empty(), file, ": its weight_map is empty; fetch the checkpoint again");
  return shards;
}

}  // namespace aeth::io::detail
