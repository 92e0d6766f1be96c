/// Faults for a training run to survive: gradients that break, bad text, disks that are full for a while.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/random.hpp"
#include "support/file_size_limit.hpp"

namespace aeth::test {

/// A Cpu on which the gradients of some steps come out wrong, as from a bad batch or broken memory: one element that is not
/// a number, or all of them a hundred thousandfold. Which steps, is a function of their number alone, so a run that is
/// killed and resumed meets the same ones.
class FaultyCpu : public Cpu {
 public:
  using Cpu::Cpu;

  /// step: of the trainer, and must outlive this. every: mean steps between faults.
  void break_gradients(Index const& step, Index every) { step_ = &step, every_ = every; }

  /// Called once in a step, for the norm of its gradients: between backward and whatever uses them.
  template <class T>
  [[nodiscard]] double sum_of_squares(T const* x, Index size) {
    if (every_ > 0) break_some(const_cast<T*>(x), size);  // the trainer's own buffer, which is not const
    return Cpu::sum_of_squares(x, size);
  }

 private:
  template <class T>
  void break_some(T* x, Index size) const {
    Random random(1, RandomUse::test, static_cast<std::uint64_t>(*step_));
    if (random.below(static_cast<std::uint64_t>(every_)) != 0) return;
    if (random.below(2) == 0)
      x[random.below(static_cast<std::uint64_t>(size))] = std::numeric_limits<T>::quiet_NaN();
    else
      for (Index i = 0; i < size; ++i) x[i] *= T(1e5);
  }

  Index const* step_ = nullptr;
  Index every_ = 0;
};

/// A disk that is too full for the weights of presets::tiny from some saves on until a later one; smaller files still fit.
class FlakyDisk {
 public:
  /// share: of the saves that meet a full disk.
  FlakyDisk(std::uint64_t seed, double share) : random_(seed, RandomUse::test), share_(share) {}

  /// Before a save, which may go on in the background until the next.
  void turn() {
    limit_.reset();
    if (random_.uniform() < share_) limit_.emplace(::rlim_t{1200} << 10);
  }
  void mend() { limit_.reset(); }

 private:
  Random random_;
  double share_;
  std::optional<FileSizeLimit> limit_;
};

}  // namespace aeth::test
