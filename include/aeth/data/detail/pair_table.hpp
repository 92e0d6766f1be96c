/// A hash table from a pair of token ids to a 32-bit number; the inner loop of byte-pair encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "aeth/io/hash.hpp"

namespace aeth::data::detail {

/// Two token ids as one key; ids are never negative, so no key is all ones.
[[nodiscard]] constexpr std::uint64_t pair_key(std::int32_t left, std::int32_t right) noexcept {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

/// Open addressing with linear probing, at most half full; keys cannot be removed.
class PairTable {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  /// The number stored under a key, or `none`.
  [[nodiscard]] std::uint32_t find(std::uint64_t key) const noexcept {
    if (slots_.empty()) return none;
    for (std::size_t at = io::mix64(key) & mask();; at = (at + 1) & mask()) {
      if (slots_[at].key == key) return slots_[at].value;
      if (slots_[at].key == empty) return none;
    }
  }

  /// The number under a key after storing `value` there unless something is stored already.
  std::uint32_t insert(std::uint64_t key, std::uint32_t value) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    std::size_t at = io::mix64(key) & mask();
    for (; slots_[at].key != empty; at = (at + 1) & mask())
      if (slots_[at].key == key) return slots_[at].value;
    slots_[at] = {key, value};
    ++count_;
    return value;
  }

 private:
  static constexpr std::uint64_t empty = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = empty;
    std::uint32_t value = none;
  };

  [[nodiscard]] std::size_t mask() const noexcept { return slots_.size() - 1; }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : 2 * slots_.size());
    old.swap(slots_);
    for (Slot const& slot : old) {
      if (slot.key == empty) continue;
      std::size_t at = io::mix64(slot.key) & mask();
      while (slots_[at].key != empty) at = (at + 1) & mask();
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two, or none
  std::size_t count_ = 0;
};

}  // namespace aeth::data::detail
