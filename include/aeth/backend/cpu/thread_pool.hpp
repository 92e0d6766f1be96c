/// Threads that share the tasks of one operation at a time. Which thread runs a task never changes a result.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"

namespace aeth {

/// Runs `task(index, thread)` for index in [0, count) on `size()` threads, the caller among them. Tasks are
/// taken in ascending order from one counter, so uneven ones balance. Waiting threads spin shortly, then
/// sleep.
class ThreadPool {
 public:
  explicit ThreadPool(int threads) : size_(max(threads, 1)) {
    workers_.reserve(to_size(size_ - 1));
    try {
      for (int thread = 1; thread < size_; ++thread) workers_.emplace_back([this, thread] { work(thread); });
    } catch (std::system_error const& error) {
      std::size_t const started = workers_.size() + 1;
      finish();
      fail<UsageError>({"thread pool: the system gave ", started, " of ", size_, " threads: ", error.what(),
                        "; ask for fewer"});
    }
  }
  ~ThreadPool() { finish(); }
  ThreadPool(ThreadPool const&) = delete;
  ThreadPool& operator=(ThreadPool const&) = delete;

  [[nodiscard]] int size() const noexcept { return size_; }

  /// Returns when every task has finished; rethrows the first exception of a task. Not reentrant.
  template <class Task>
  void run(Index count, Task&& task) {
    run(
        count,
        [](void* context, Index index, int thread) {
          (*static_cast<std::remove_reference_t<Task>*>(context))(index, thread);
        },
        const_cast<void*>(static_cast<void const*>(&task)));
  }

 private:
  static constexpr int spins = 2000;
  static constexpr std::uint32_t open = 1;  ///< bit of state_: tasks may be taken
  static constexpr std::uint32_t inside =
      2;  ///< unit of state_: threads other than the caller that take tasks

  using Call = void (*)(void* context, Index index, int thread);

  /// Every operation of a backend comes through here, so this is one function and not a template.
  void run(Index count, Call call, void* context) {
    if (count <= 0) return;
    if (size_ == 1 || count == 1) {
      for (Index i = 0; i < count; ++i) call(context, i, 0);
      return;
    }
    call_ = call;
    context_ = context;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    state_.store(open, std::memory_order_release);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    take_tasks(0);
    // Threads that come too late for a task are turned away, so nobody waits for one that is not running.
    state_.fetch_and(~open, std::memory_order_acq_rel);
    for (int spin = 0; state_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < spins)
        pause();
      else
        std::this_thread::yield();
    }
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  void finish() {
    stop_.store(true);
    round_.fetch_add(1);
    round_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  void take_tasks(int thread) noexcept {
    try {
      for (Index i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) call_(context_, i, thread);
    } catch (...) {
      next_.store(count_, std::memory_order_relaxed);
      std::lock_guard const lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  void work(int thread) noexcept {
    for (std::uint32_t seen = 0;;) {
      for (int spin = 0; spin < spins && round_.load(std::memory_order_acquire) == seen; ++spin) pause();
      round_.wait(seen, std::memory_order_acquire);
      seen = round_.load(std::memory_order_acquire);
      if (stop_.load(std::memory_order_relaxed)) return;
      std::uint32_t state = state_.load(std::memory_order_acquire);
      while ((state & open) != 0)
        if (state_.compare_exchange_weak(state, state + inside, std::memory_order_acq_rel)) {
          take_tasks(thread);
          state_.fetch_sub(inside, std::memory_order_release);
          break;
        }
    }
  }

  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  int size_;
  std::vector<std::thread> workers_;
  Call call_ = nullptr;
  void* context_ = nullptr;
  Index count_ = 0;
  alignas(64) std::atomic<std::uint32_t> round_{0};
  alignas(64) std::atomic<Index> next_{0};
  alignas(64) std::atomic<std::uint32_t> state_{0};
  std::atomic<bool> stop_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace aeth
