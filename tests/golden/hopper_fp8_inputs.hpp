// What was given to an H100 (hopper_fp8.cu) and is given to the model of its tensor core: numbers that follow from a
// counter.
#pragma once

#include <cstdint>
#include <cstring>

namespace hopper {

/// Products of [64, depth] and [8, depth] codes, `blocks` of them, each beginning with a sum [64, 8].
inline constexpr int rows = 64, columns = 8, steps = 32;
struct Family {
  int kind, blocks, depth;
};
/// Of kinds: middling sizes; every finite code; mostly zeros; zero, subnormal and the least normal codes; every code with
/// a sum before; small and a few large ones with a sum before; many steps; NaN here and there.
inline constexpr Family families[] = {{0, 1, 32}, {1, 1, 32}, {2, 1, 32},   {3, 1, 32},
                                      {4, 2, 32}, {5, 2, 32}, {6, 1, 4096}, {7, 1, 32}};

inline std::uint32_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<std::uint32_t>((x ^ (x >> 31)) >> 32);
}
inline std::uint32_t random(int kind, std::uint64_t at, std::uint64_t which) {
  return mixed(at * 8 + which + (static_cast<std::uint64_t>(kind) << 40));
}
/// Code `at` of all left operands (which = 0) or right ones (1) of a kind.
inline std::uint8_t code(int kind, std::uint64_t at, std::uint64_t which) {
  std::uint32_t const r = random(kind, at, which), other = r >> 8,
                      finite = (r & 0x7Fu) == 0x7Fu ? r & 0xFEu : r & 0xFFu, small = r & 0x8Fu,
                      middling = (r & 0x87u) | (0x30u + other % 5 * 8);
  std::uint32_t const codes[] = {middling, finite,   other % 8 ? 0u : finite,
                                 small,    finite,   other % 4 ? small : finite,
                                 middling, r & 0xFFu};
  return static_cast<std::uint8_t>(codes[kind]);
}
/// The sum that a result begins with.
inline float before(int kind, std::uint64_t at) {
  std::uint32_t const r = random(kind, at, 2);
  std::uint32_t bits = 0;
  if (kind == 4) bits = (r & 0x807FFFFFu) | ((97u + (r >> 23 & 63u)) << 23);   // magnitudes from 2^-30
  if (kind == 5) bits = (r & 0x807FFFFFu) | ((103u + (r >> 23 & 31u)) << 23);  // from 2^-24
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace hopper
