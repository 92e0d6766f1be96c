/// What an arena would hold after some takes, without the memory: for predictions at compile time.
#pragma once

#include "aeth/core/math.hpp"

namespace aeth {

/// An `Arena` (core/arena.hpp) that has no memory: what is taken from it, and the blocks that it would hold.
class ArenaPlan {
 public:
  struct Mark {
    Index block = 0, used = 0, taken = 0;
  };

  constexpr ArenaPlan() = default;
  ArenaPlan(ArenaPlan const&) = delete;
  ArenaPlan& operator=(ArenaPlan const&) = delete;
  constexpr ~ArenaPlan() { delete[] blocks_; }

  constexpr void take(Index count, Index width) {
    Index const bytes = round_up(count * width, Index{64});
    while (at_.block < count_ && at_.used + bytes > blocks_[at_.block]) at_ = {at_.block + 1, 0, at_.taken};
    if (at_.block == count_) add(max(bytes, Index{1} << 20));
    at_.used += bytes;
    at_.taken += bytes;
    most_taken_ = max(most_taken_, at_.taken);
  }
  [[nodiscard]] constexpr Mark mark() const noexcept { return at_; }
  constexpr void release(Mark mark) noexcept { at_ = mark; }

  [[nodiscard]] constexpr Index most_taken() const noexcept { return most_taken_; }
  [[nodiscard]] constexpr Index capacity() const noexcept { return capacity_; }

 private:
  // Not a std::vector: not every standard library has a constexpr one.
  constexpr void add(Index bytes) {
    if (count_ == room_) {
      room_ = 2 * room_ + 64;
      auto* const larger = new Index[to_size(room_)]{};
      for (Index i = 0; i < count_; ++i) larger[i] = blocks_[i];
      delete[] blocks_;
      blocks_ = larger;
    }
    blocks_[count_++] = bytes;
    capacity_ += bytes;
  }

  Index* blocks_ = nullptr;
  Index count_ = 0, room_ = 0, capacity_ = 0, most_taken_ = 0;
  Mark at_{};
};

}  // namespace aeth
