/// Faults for a training run to survive: gradients that break, bad text, disks that are full for a while.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/random.hpp"
#include "aeth/io/file_system.hpp"

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
/// What a run writes beside its checkpoints, such as its events, does not go through it.
class FlakyDisk : public io::FileSystem {
 public:
  /// share: of the saves that meet a full disk.
  FlakyDisk(std::uint64_t seed, double share) : random_(seed, RandomUse::test), share_(share) {}

  /// Before a save, which may go on in the background until the next.
  void turn() { full_ = random_.uniform() < share_; }
  void mend() { full_ = false; }

  ::ssize_t write(int file, void const* from, std::size_t count) noexcept override {
    if (full_) {
      std::int64_t const size = disk_.size(file);
      if (size < 0) return -1;
      if (size >= room) return errno = ENOSPC, -1;
      count = std::min(count, static_cast<std::size_t>(room - size));
    }
    return disk_.write(file, from, count);
  }

  int open(char const* path, int flags) noexcept override { return disk_.open(path, flags); }
  int close(int file) noexcept override { return disk_.close(file); }
  ::ssize_t read(int file, void* to, std::size_t count) noexcept override {
    return disk_.read(file, to, count);
  }
  std::int64_t size(int file) noexcept override { return disk_.size(file); }
  int flush(int file) noexcept override { return disk_.flush(file); }
  int lock(int file) noexcept override { return disk_.lock(file); }
  int rename(char const* from, char const* to) noexcept override { return disk_.rename(from, to); }
  int remove_file(char const* path) noexcept override { return disk_.remove_file(path); }
  int make_folder(char const* path) noexcept override { return disk_.make_folder(path); }
  int remove_folder(char const* path) noexcept override { return disk_.remove_folder(path); }
  int list(char const* path, std::vector<std::string>& names) override { return disk_.list(path, names); }

 private:
  static constexpr std::int64_t room = 1200 << 10;  ///< bytes of a file; the weights have 1,259 KiB

  io::FileSystem& disk_ = io::FileSystem::system();
  Random random_;
  double share_;
  std::atomic<bool> full_ = false;  ///< the thread that saves reads it
};

}  // namespace aeth::test
