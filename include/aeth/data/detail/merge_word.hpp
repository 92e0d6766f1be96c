/// Byte-pair merging of one word: repeatedly the leftmost pair of lowest rank, in n log n steps.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "aeth/data/detail/pair_table.hpp"

namespace aeth::data::detail {

/// The merges as a table: pair of ids → rank, rank → id made.
struct MergeTable {
  PairTable ranks;
  std::vector<std::int32_t> made;

  [[nodiscard]] std::uint32_t rank(std::int32_t left, std::int32_t right) const noexcept {
    return ranks.find(pair_key(left, right));
  }
};

/// Short words: look at all pairs again after each merge. `ids` holds the bytes' ids and is overwritten.
///
/// returns  how many ids remain at the front of `ids`
[[nodiscard]] inline std::size_t merge_short_word(MergeTable const& table, std::span<std::int32_t> ids,
                                                  std::span<std::uint32_t> ranks) {
  std::size_t n = ids.size();
  for (std::size_t i = 0; i + 1 < n; ++i) ranks[i] = table.rank(ids[i], ids[i + 1]);
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i)
      if (ranks[i] < ranks[best]) best = i;
    if (ranks[best] == PairTable::none) break;
    ids[best] = table.made[ranks[best]];
    for (std::size_t i = best + 1; i + 1 < n; ++i) {
      ids[i] = ids[i + 1];
      ranks[i - 1] = ranks[i];
    }
    --n;
    if (best > 0) ranks[best - 1] = table.rank(ids[best - 1], ids[best]);
    if (best + 1 < n) ranks[best] = table.rank(ids[best], ids[best + 1]);
  }
  return n;
}

/// Long words: a heap of (rank, place) over a linked list; an entry whose rank no longer is that of its place
/// is stale and skipped. 32 bytes of memory per byte of the word.
///
/// returns  how many ids remain at the front of `ids`; ids.size() must be below 2^31
[[nodiscard]] inline std::size_t merge_long_word(MergeTable const& table, std::span<std::int32_t> ids) {
  constexpr std::uint32_t none = PairTable::none;
  auto const n = static_cast<std::uint32_t>(ids.size());
  struct Link {
    std::uint32_t before, after, rank;
  };
  std::vector<Link> links(n);
  std::vector<std::uint64_t> heap;
  auto const rank_at = [&](std::uint32_t i) {
    return links[i].after == none ? none : table.rank(ids[i], ids[links[i].after]);
  };
  auto const entry = [&](std::uint32_t i) { return static_cast<std::uint64_t>(links[i].rank) << 32 | i; };
  for (std::uint32_t i = 0; i < n; ++i) links[i] = {i == 0 ? none : i - 1, i + 1 < n ? i + 1 : none, none};
  for (std::uint32_t i = 0; i < n; ++i) {
    links[i].rank = rank_at(i);
    if (links[i].rank != none) heap.push_back(entry(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>{});
  auto const update = [&](std::uint32_t i) {
    std::uint32_t const rank = rank_at(i);
    if (rank == links[i].rank) return;
    links[i].rank = rank;
    if (rank == none) return;
    heap.push_back(entry(i));
    std::push_heap(heap.begin(), heap.end(), std::greater<>{});
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>{});
    std::uint64_t const top = heap.back();
    heap.pop_back();
    auto const i = static_cast<std::uint32_t>(top);
    auto const rank = static_cast<std::uint32_t>(top >> 32);
    if (links[i].rank != rank) continue;
    std::uint32_t const gone = links[i].after;
    ids[i] = table.made[rank];
    links[i].after = links[gone].after;
    if (links[gone].after != none) links[links[gone].after].before = i;
    links[gone].rank = none;
    links[i].rank = none;
    update(i);
    if (links[i].before != none) update(links[i].before);
  }
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i != none; i = links[i].after) ids[kept++] = ids[i];
  return kept;
}

}  // namespace aeth::data::detail
