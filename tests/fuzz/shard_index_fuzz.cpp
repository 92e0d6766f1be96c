// Any bytes as the index of a checkpoint's shards: IoError, or tensors in files that can only be of the same folder.
#include <string_view>

#include "aeth/core/error.hpp"
#include "aeth/io/detail/shard_index.hpp"
#include "fuzz/target.hpp"

using aeth::fuzz::require;

AETH_FUZZ_TARGET(shard_index, content) {
  try {
    aeth::io::detail::ShardIndex const shards = aeth::io::detail::read_shard_index(content, "fuzz");
    require(!shards.empty(), "an index without shards was accepted");
    for (auto const& [shard, tensors] : shards) {
      require(
          !shard.empty() && shard.find('/') == shard.npos && shard.find('\0') == shard.npos && shard != "..",
          "a shard's name leads out of the folder");
      require(!tensors.empty(), "a shard without tensors");
    }
    return true;
  } catch (aeth::IoError const&) {
    return false;
  }
}
