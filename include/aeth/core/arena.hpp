/// A bump allocator for what a pass needs: after the first pass of a given size it allocates nothing.
#pragma once

#include <cstddef>
#include <vector>

#include "aeth/core/buffer.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/view.hpp"

namespace aeth {

/// Hands out uninitialised, cache-line-aligned memory in stack order. `release` returns everything taken
/// after a `Mark` and keeps the memory for the next pass. Not for use by several threads at once.
class Arena {
 public:
  /// A point to return to.
  struct Mark {
    std::size_t block = 0;
    Index used = 0;   ///< bytes of that block
    Index taken = 0;  ///< bytes of all takes before it, what blocks lose at their ends not counted
  };

  [[nodiscard]] Mark mark() const noexcept { return at_; }
  void release(Mark mark) noexcept { at_ = mark; }

  /// Uninitialised room for `count` elements; cost: an addition, or one allocation when no block has room.
  template <class T>
  [[nodiscard]] T* take(Index count) {
    constexpr Index alignment = static_cast<Index>(buffer_alignment);
    Index const bytes = round_up(count * static_cast<Index>(sizeof(T)), alignment);
    while (at_.block < blocks_.size() && at_.used + bytes > blocks_[at_.block].size())
      at_ = {at_.block + 1, 0, at_.taken};
    if (at_.block == blocks_.size()) blocks_.emplace_back(max(bytes, smallest_block));
    std::byte* const first = blocks_[at_.block].data() + at_.used;
    at_.used += bytes;
    at_.taken += bytes;
    most_taken_ = max(most_taken_, at_.taken);
    return reinterpret_cast<T*>(first);
  }

  template <class T>
  [[nodiscard]] VectorView<T> vector(Index size) {
    return {take<T>(size), size};
  }
  template <class T>
  [[nodiscard]] MatrixView<T> matrix(Index rows, Index cols) {
    return {take<T>(rows * cols), rows, cols};
  }

  /// Afterwards `bytes` may be taken, each take rounded up to whole cache lines, without an allocation.
  void reserve(Index bytes) {
    for (std::size_t b = at_.block; b < blocks_.size(); ++b)
      if (blocks_[b].size() - (b == at_.block ? at_.used : 0) >= bytes) return;
    blocks_.emplace_back(max(bytes, smallest_block));
  }

  /// Most bytes that were taken at once, in whole cache lines.
  [[nodiscard]] Index most_taken() const noexcept { return most_taken_; }

  /// Bytes held, used or not.
  [[nodiscard]] Index capacity() const noexcept {
    Index total = 0;
    for (auto const& block : blocks_) total += block.size();
    return total;
  }

 private:
  static constexpr Index smallest_block = Index{1} << 20;

  std::vector<Buffer<std::byte>> blocks_;
  Mark at_{};
  Index most_taken_ = 0;
};

/// Releases, at the end of a scope, what the scope took from an arena.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) noexcept : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.release(mark_); }
  ArenaScope(ArenaScope const&) = delete;
  ArenaScope& operator=(ArenaScope const&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace aeth
