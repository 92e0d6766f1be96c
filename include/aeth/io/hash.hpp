/// A fixed 64-bit hash of bytes (FNV-1a): the same value on every machine and in every version, so it may be
/// stored in files. It finds accidents, not attackers.
///
/// source   Fowler, Noll & Vo; constants of the 64-bit FNV-1a
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace aeth::io {

/// The hash of bytes that arrive in parts. Cost: one multiplication per byte.
class Hash64 {
 public:
  constexpr void add(std::string_view bytes) noexcept {
    for (char const c : bytes) add_byte(static_cast<unsigned char>(c));
  }

  /// A number as its eight bytes, lowest first.
  constexpr void add(std::uint64_t number) noexcept {
    for (int shift = 0; shift < 64; shift += 8) add_byte(static_cast<unsigned char>(number >> shift));
  }

  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return state_; }

 private:
  constexpr void add_byte(unsigned char byte) noexcept { state_ = (state_ ^ byte) * 0x100000001B3u; }

  std::uint64_t state_ = 0xCBF29CE484222325u;
};

/// The hash of bytes at once.
[[nodiscard]] constexpr std::uint64_t hash64(std::string_view bytes) noexcept {
  Hash64 hash;
  hash.add(bytes);
  return hash.value();
}

/// A hash as text: sixteen hexadecimal digits, the highest first.
[[nodiscard]] inline std::string hash_text(std::uint64_t hash) {
  std::string out(16, '0');
  for (std::size_t i = 16; i-- > 0; hash >>= 4) out[i] = "0123456789abcdef"[hash & 15];
  return out;
}

/// Spreads the bits of a number over all 64 (a bijection): for keys of hash tables and seeded order.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
  x = (x ^ (x >> 29)) * 0x9E3779B97F4A7C15u;
  return x ^ (x >> 32);
}

}  // namespace aeth::io
