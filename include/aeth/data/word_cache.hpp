/// Remembers the tokens of words: text repeats its words, and a look-up is cheaper than merging again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/io/hash.hpp"

namespace aeth::data {

/// Words up to a length with their ids; forgets everything when full. For one tokenizer and one thread.
class WordCache {
 public:
  /// Longest word kept, in bytes; longer ones are rare.
  static constexpr std::size_t max_word = 48;

  /// Holds up to `words` words (rounded up to a power of two), at about 60 bytes each.
  explicit WordCache(std::size_t words = std::size_t{1} << 15) {
    std::size_t slots = 64;
    while (slots < 2 * words) slots *= 2;
    slots_.resize(slots);
  }

  /// The ids of a word, or an empty span if it is unknown. Valid until the next insert().
  [[nodiscard]] std::span<std::int32_t const> find(std::string_view word) const noexcept {
    if (word.size() > max_word) return {};
    Slot const& slot = slots_[place(word)];
    return {ids_.data() + slot.ids_begin, slot.ids_count};
  }

  void insert(std::string_view word, std::span<std::int32_t const> ids) {
    if (word.size() > max_word || word.empty()) return;
    if (2 * (count_ + 1) > slots_.size()) clear();
    Slot& slot = slots_[place(word)];
    if (slot.length != 0) return;
    auto const begin = static_cast<std::uint32_t>(bytes_.size());
    auto const ids_begin = static_cast<std::uint32_t>(ids_.size());
    bytes_.append(word);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    slot = {begin, ids_begin, static_cast<std::uint16_t>(word.size()),
            static_cast<std::uint16_t>(ids.size())};
    ++count_;
  }

  void clear() noexcept {
    for (Slot& slot : slots_) slot = {};
    bytes_.clear();
    ids_.clear();
    count_ = 0;
  }

 private:
  struct Slot {
    std::uint32_t begin = 0, ids_begin = 0;
    std::uint16_t length = 0, ids_count = 0;
  };

  [[nodiscard]] std::size_t place(std::string_view word) const noexcept {
    std::size_t const mask = slots_.size() - 1;
    std::size_t at = io::mix64(io::hash64(word)) & mask;
    while (slots_[at].length != 0 &&
           std::string_view(bytes_).substr(slots_[at].begin, slots_[at].length) != word)
      at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
  std::string bytes_;
  std::vector<std::int32_t> ids_;
  std::size_t count_ = 0;
};

}  // namespace aeth::data
