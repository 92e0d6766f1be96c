/// A fixed 64-bit hash for tensors: the same value on every machine and in every version, so it may be stored in files.
/// Bytes go to four lanes, eight at a time, so that a core hashes them about as fast as memory delivers them; hash64()
/// takes a multiplication per byte. It finds accidents, not attackers.
///
/// A change within eight bytes at a multiple of eight is always found: each step of a lane is a bijection of the lane and
/// of the word, and so is each step of the end. Any other change is missed once in 2^64.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "aeth/io/hash.hpp"

namespace aeth::io {

/// The hash of bytes that arrive in parts; how they are cut does not matter.
class BlockHash64 {
 public:
  void add(std::string_view bytes) noexcept {
    if (bytes.empty()) return;
    size_ += bytes.size();
    if (held_ > 0) {
      std::size_t const taken = bytes.size() < block - held_ ? bytes.size() : block - held_;
      std::memcpy(held_bytes_ + held_, bytes.data(), taken);
      held_ += taken;
      bytes.remove_prefix(taken);
      if (held_ < block) return;
      lanes_.mix(held_bytes_);
    }
    Lanes lanes = lanes_;  // a copy stays in registers
    for (; bytes.size() >= block; bytes.remove_prefix(block)) lanes.mix(bytes.data());
    lanes_ = lanes;
    held_ = bytes.size();
    if (held_ > 0) std::memcpy(held_bytes_, bytes.data(), held_);
  }

  [[nodiscard]] std::uint64_t value() const noexcept {
    Lanes lanes = lanes_;
    if (held_ > 0) {
      char last[block] = {};  // zeros behind the end; the size tells them from zeros that are there
      std::memcpy(last, held_bytes_, held_);
      lanes.mix(last);
    }
    std::uint64_t hash = mix64(size_ + 1);
    for (std::uint64_t const lane : lanes.state) hash = mix64(hash ^ lane);
    return hash;
  }

 private:
  static constexpr std::size_t block = 32;

  struct Lanes {
    // Any numbers that differ: the first digits of pi behind the point, 64 bits each.
    std::uint64_t state[4] = {0x243F6A8885A308D3u, 0x13198A2E03707344u, 0xA4093822299F31D0u,
                              0x082EFA98EC4E6C89u};

    /// Bytes as numbers, lowest first: io/dtype.hpp refuses machines that do it otherwise.
    void mix(char const* bytes) noexcept {
      for (std::size_t lane = 0; lane < 4; ++lane) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + 8 * lane, 8);
        state[lane] = std::rotl((state[lane] ^ word) * 0x9E3779B97F4A7C15u, 29);
      }
    }
  };

  Lanes lanes_;
  char held_bytes_[block] = {};
  std::size_t held_ = 0;  // bytes that make no block yet
  std::uint64_t size_ = 0;
};

}  // namespace aeth::io
