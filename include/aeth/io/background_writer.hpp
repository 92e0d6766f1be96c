/// Saving while training goes on: the state is copied, and a thread writes the copy. Needs nlohmann-json.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "aeth/core/buffer.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/generation_writer.hpp"

namespace aeth::io {

/// What save() does while the state before is still being written.
enum class WhenBusy {
  wait,  ///< until that one is on the disk
  skip,  ///< nothing: this state is not saved
};

/// What became of a state.
struct SaveOutcome {
  std::uint64_t step = 0;
  WrittenGeneration written{};
  std::exception_ptr error{};  ///< null if it was saved
};

/// Copies states and writes them in a thread. One thread at a time may call it.
///
/// memory   a copy of the largest state, taken when that one is first saved, or by reserve()
class BackgroundWriter {
 public:
  /// The writer must outlive it, and be used by nobody else meanwhile.
  explicit BackgroundWriter(GenerationWriter& writer) : writer_(writer), thread_([this] { work(); }) {}
  BackgroundWriter(BackgroundWriter const&) = delete;
  BackgroundWriter(BackgroundWriter&&) = delete;
  BackgroundWriter& operator=(BackgroundWriter const&) = delete;
  BackgroundWriter& operator=(BackgroundWriter&&) = delete;
  /// Waits until what is under way has been written.
  ~BackgroundWriter() {
    if (!writer_.is_own_process()) {  // in a child of fork() the thread does not exist
      thread_.detach();
      return;
    }
    {
      std::lock_guard const lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// Takes the memory for a state, so that saving one of its size does not.
  void reserve(GenerationContent const& content) {
    std::uint64_t bytes = 0;
    for (GenerationFile const& file : content.files)
      for (TensorEntry const& tensor : file.tensors) bytes += round_up(tensor.bytes.size(), buffer_alignment);
    if (static_cast<std::uint64_t>(bytes_.size()) >= bytes) return;
    wait();
    bytes_ = {};
    bytes_ = Buffer<std::byte>(static_cast<Index>(bytes));
  }

  /// Copies a state and returns while it is being written. Whether it was taken: see WhenBusy.
  ///
  /// errors   UsageError as GenerationWriter::write() in another process; nothing else of the state before: see
  ///          take_outcomes()
  /// cost     blocks for the copy
  bool save(GenerationContent const& content, WhenBusy when_busy = WhenBusy::wait) {
    writer_.require_own_process();
    {
      std::unique_lock lock(mutex_);
      if (busy_ && when_busy == WhenBusy::skip) return false;
      changed_.wait(lock, [&] { return !busy_; });
      outcomes_.reserve(outcomes_.size() + 1);
    }
    reserve(content);
    GenerationContent copy = content;
    std::byte* place = bytes_.data();
    for (GenerationFile& file : copy.files)
      for (TensorEntry& tensor : file.tensors) {
        std::size_t const size = tensor.bytes.size();
        if (size > 0) std::memcpy(place, tensor.bytes.data(), size);
        tensor.bytes = {place, size};
        place += round_up(size, buffer_alignment);
      }
    {
      std::lock_guard const lock(mutex_);
      content_ = std::move(copy);
      busy_ = true;
    }
    changed_.notify_all();
    return true;
  }

  /// Until nothing is under way. Errors: UsageError as GenerationWriter::write() in another process.
  void wait() {
    writer_.require_own_process();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !busy_; });
  }

  /// What became of the states that have been dealt with since the last call, oldest first. Does not wait.
  [[nodiscard]] std::vector<SaveOutcome> take_outcomes() {
    std::lock_guard const lock(mutex_);
    std::vector<SaveOutcome> taken(outcomes_);
    outcomes_.clear();  // keeps the room for the one under way
    return taken;
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return busy_ || ending_; });
      if (!busy_) return;
      lock.unlock();
      SaveOutcome outcome{content_.step, {}, {}};
      try {
        outcome.written = writer_.write(content_);
      } catch (...) {
        outcome.error = std::current_exception();
      }
      lock.lock();
      outcomes_.push_back(std::move(outcome));  // save() has taken the room
      busy_ = false;
      lock.unlock();
      changed_.notify_all();
    }
  }

  GenerationWriter& writer_;
  Buffer<std::byte> bytes_;
  GenerationContent content_;  // the thread's while busy_
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SaveOutcome> outcomes_;
  bool busy_ = false;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace aeth::io
