/// Counter-based random numbers: a value is a pure function of (seed, stream, counter), so the same bits come
/// out on any backend, thread or rank, and a saved position is two integers.
///
/// source   Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", Philox-4x32 with 10 rounds
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace aeth {

/// What a stream of random numbers is used for; part of the key, so that two uses never share numbers.
enum class RandomUse : std::uint32_t {
  init = 1,
  shuffle = 2,
  split = 3,
  fim = 4,
  sample = 5,
  test = 6,
  dropout = 7
};

/// Four 32-bit words for a 128-bit counter under a 64-bit key.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                            std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    std::uint64_t const product0 = std::uint64_t{0xD2511F53u} * counter[0];
    std::uint64_t const product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// A stream keyed by (seed, use, item): `item` is a tensor, document or request number. Trivially copyable;
/// saving `position()` and restoring it with `seek()` resumes the stream exactly.
class Random {
 public:
  constexpr Random(std::uint64_t seed, RandomUse use, std::uint64_t item = 0) noexcept
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        item_(item),
        use_(static_cast<std::uint32_t>(use)) {}

  /// The next 32 uniform bits.
  constexpr std::uint32_t bits() noexcept {
    std::uint64_t const block = position_ / 4;
    if (position_ % 4 == 0 || !cached_) {
      // 12 bits of use and 52 bits of item share two words; the block counter takes the other two.
      block_ =
          philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                  static_cast<std::uint32_t>(item_), static_cast<std::uint32_t>(item_ >> 32) ^ (use_ << 20)},
                 key_);
      cached_ = true;
    }
    return block_[position_++ % 4];
  }

  /// 64 uniform bits.
  constexpr std::uint64_t bits64() noexcept {
    std::uint64_t const high = bits();
    return high << 32 | bits();
  }

  /// Uniform in [0, 1) with 53 bits.
  constexpr double uniform() noexcept { return static_cast<double>(bits64() >> 11) * 0x1p-53; }

  /// Uniform in [0, n) without bias, for n > 0.
  constexpr std::uint64_t below(std::uint64_t n) noexcept {
    std::uint64_t const threshold = (0 - n) % n;
    for (;;)
      if (std::uint64_t const draw = bits64(); draw >= threshold) return draw % n;
  }

  /// Standard normal (Box-Muller; one value per pair of uniforms, so the position stays easy to reason
  /// about).
  double normal() noexcept {
    double const radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586476925 * uniform());
  }

  [[nodiscard]] constexpr std::uint64_t position() const noexcept { return position_; }
  constexpr void seek(std::uint64_t position) noexcept {
    position_ = position;
    cached_ = false;
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t item_;
  std::uint32_t use_;
  std::uint64_t position_ = 0;
  std::array<std::uint32_t, 4> block_{};
  bool cached_ = false;
};

}  // namespace aeth
