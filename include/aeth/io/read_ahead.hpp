/// Pieces of files read in the background, in order, while earlier ones are worked on.
///
/// Pieces that the system has in its cache are copied from there. Larger ones that it has not come past the cache
/// (O_DIRECT): that leaves the processor to the work on earlier pieces and the cache to its other users. Where the file
/// system cannot do that, they are read as usual.
#pragma once

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "aeth/core/huge_pages.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/file_bytes.hpp"

namespace aeth::io {

/// A range of bytes of one of several files.
struct FilePiece {
  std::size_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

namespace detail {

/// Reads one file by whichever way is cheapest.
class CheapReader {
 public:
  /// What O_DIRECT asks of places in files and in memory.
  static constexpr std::uint64_t alignment = 4096;
  /// Smaller pieces are better read ahead by the system.
  static constexpr std::uint64_t least_direct = std::uint64_t{1} << 18;

  explicit CheapReader(OpenFile const& file) : file_(file) {
#ifdef O_DIRECT
    // The same file even if its name leads to another by now.
    direct_ = FileDescriptor::open("/proc/self/fd/" + std::to_string(file.number()), O_RDONLY | O_DIRECT);
#endif
  }

  /// Room for a piece in a buffer for read().
  [[nodiscard]] static std::uint64_t room(std::uint64_t size) noexcept {
    return round_up(size, alignment) + alignment;
  }

  /// Reads into a buffer [room(size)] at a multiple of the alignment and returns where in it the bytes begin.
  ///
  /// errors   IoError as read_at()
  [[nodiscard]] std::byte* read(std::uint64_t offset, std::uint64_t size, std::byte* buffer) const {
    if (!direct_.is_open() || size < least_direct || is_cached(offset, size, buffer)) {
      read_at(file_.number(), offset, buffer, size, file_.path());
      return buffer;
    }
    std::uint64_t const begin = offset / alignment * alignment;
    std::uint64_t const wanted = round_up(offset + size, alignment) - begin, least = offset + size - begin;
    for (std::uint64_t done = 0; done < least;) {
      ::ssize_t const got = ::pread(direct_.number(), buffer + done, static_cast<std::size_t>(wanted - done),
                                    static_cast<::off_t>(begin + done));
      if (got < 0 && errno == EINTR) continue;
      done += static_cast<std::uint64_t>((std::max)(got, ::ssize_t{0}));
      if (got > 0 && (done >= least || done % alignment == 0)) continue;
      // The file ends too early, or the file system cannot read so: the usual way does it or tells why.
      read_at(file_.number(), offset, buffer, size, file_.path());
      return buffer;
    }
    return buffer + (offset - begin);
  }

 private:
  /// Whether the last part of a piece can be had without waiting for the disk.
  [[nodiscard]] bool is_cached(std::uint64_t offset, std::uint64_t size, std::byte* buffer) const noexcept {
#ifdef RWF_NOWAIT
    constexpr std::uint64_t part = 1 << 16;
    ::iovec const place{buffer, static_cast<std::size_t>(min(size, part))};
    ::ssize_t const got =
        ::preadv2(file_.number(), &place, 1, static_cast<::off_t>(offset + size - place.iov_len), RWF_NOWAIT);
    return got == static_cast<::ssize_t>(place.iov_len);
#else
    return false;
#endif
  }

  OpenFile const& file_;
  FileDescriptor direct_;
};

}  // namespace detail

/// Reads pieces in their order for any number of threads to work on.
class ReadAhead {
 public:
  /// The files must outlive it. Memory: buffers for pieces of 32 MiB together, but at least two.
  ReadAhead(std::span<OpenFile const> files, std::vector<FilePiece> pieces) : pieces_(std::move(pieces)) {
    constexpr std::uint64_t buffer_bytes = std::uint64_t{32} << 20;
    for (OpenFile const& file : files) readers_.emplace_back(file);
    std::uint64_t largest = 1;
    for (FilePiece const& piece : pieces_) largest = max(largest, piece.size);
    room_ = detail::CheapReader::room(largest);
    std::uint64_t const count = min(max(buffer_bytes / room_, std::uint64_t{2}), std::uint64_t{1024});
    slots_.resize(static_cast<std::size_t>(min(count, std::uint64_t{pieces_.size()})));
    std::size_t const bytes = round_up(slots_.size() * static_cast<std::size_t>(room_), huge_page);
    buffer_.reset(static_cast<std::byte*>(::operator new[](bytes, Free::alignment)));
    advise_huge_pages(buffer_.get(),
                      bytes);  // memory in one part lets the disk answer in large parts: twice as fast
    // Threads that mostly wait for the disk: enough of them to have it always busy.
    std::size_t const wanted = min(slots_.size(), std::size_t{4});
    threads_.reserve(wanted);
    try {
      while (threads_.size() < wanted) threads_.emplace_back([this] { read_all(); });
    } catch (std::exception const&) {
      if (wanted > 0 && threads_.empty()) throw;  // otherwise fewer will do
    }
  }
  ReadAhead(ReadAhead const&) = delete;
  ReadAhead(ReadAhead&&) = delete;
  ReadAhead& operator=(ReadAhead const&) = delete;
  ReadAhead& operator=(ReadAhead&&) = delete;
  ~ReadAhead() {
    fail(0, nullptr);
    for (std::thread& thread : threads_) thread.join();
  }

  /// Calls work(index, bytes) for pieces below `end` until none of them is left: in order, each once, by whichever
  /// thread comes first. Returns when all were given out; other threads may still be at work on theirs.
  ///
  /// errors   IoError if a piece could not be read, and what `work` throws; then also in every other thread that waits
  ///          for a later piece, and in all later calls
  template <class Work>
  void work_through(std::size_t end, Work const& work) {
    for (std::size_t index; (index = take(end)) != nothing;) {
      try {
        work(index,
             std::span<std::byte const>(slot_of(index).bytes, static_cast<std::size_t>(pieces_[index].size)));
      } catch (...) {
        fail(index, std::current_exception());
        throw;
      }
      release(index);
    }
  }

 private:
  struct Slot {
    std::byte const* bytes = nullptr;
    std::size_t filled = 0, released = 0;  // one more than the index of the piece that was so last
  };
  struct Free {
    static constexpr std::align_val_t alignment{huge_page};
    void operator()(std::byte* bytes) const noexcept { ::operator delete[](bytes, alignment); }
  };

  static constexpr std::size_t nothing = ~std::size_t{0};

  [[nodiscard]] Slot& slot_of(std::size_t index) noexcept { return slots_[index % slots_.size()]; }

  /// The next piece below `end`, waited for.
  [[nodiscard]] std::size_t take(std::size_t end) {
    std::unique_lock lock(mutex_);
    if (next_taken_ >= min(end, pieces_.size())) return nothing;
    std::size_t const index = next_taken_++;
    Slot const& slot = slot_of(index);
    changed_.wait(lock, [&] { return slot.filled == index + 1 || failed_ <= index; });
    if (slot.filled != index + 1) std::rethrow_exception(error_);
    return index;
  }

  void release(std::size_t index) {
    {
      std::lock_guard const lock(mutex_);
      slot_of(index).released = index + 1;
    }
    changed_.notify_all();
  }

  /// Ends the reading of pieces from `index` on. Those before it still arrive, so that the first that is damaged is
  /// the one that is named.
  void fail(std::size_t index, std::exception_ptr const& error) {
    {
      std::lock_guard const lock(mutex_);
      if (index < failed_) error_ = error;
      failed_ = min(failed_, index);
    }
    changed_.notify_all();
  }

  void read_all() {
    for (;;) {
      std::unique_lock lock(mutex_);
      if (next_read_ == pieces_.size()) return;
      std::size_t const index = next_read_++;
      Slot& slot = slot_of(index);
      std::size_t const before = index < slots_.size() ? 0 : index - slots_.size() + 1;
      changed_.wait(lock, [&] { return slot.released == before || failed_ <= index; });
      if (failed_ <= index) return;
      lock.unlock();
      FilePiece const& piece = pieces_[index];
      std::byte const* bytes = nullptr;
      try {
        bytes = readers_[piece.file].read(piece.offset, piece.size,
                                          buffer_.get() + (index % slots_.size()) * room_);
      } catch (...) {
        return fail(index, std::current_exception());
      }
      lock.lock();
      slot.bytes = bytes;
      slot.filled = index + 1;
      lock.unlock();
      changed_.notify_all();
    }
  }

  std::vector<FilePiece> pieces_;
  std::vector<detail::CheapReader> readers_;
  std::uint64_t room_ = 0;
  std::vector<Slot> slots_;
  std::unique_ptr<std::byte[], Free> buffer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t next_read_ = 0, next_taken_ = 0;
  std::size_t failed_ = nothing;  // the first piece that cannot be had, because of error_
  std::exception_ptr error_;
  std::vector<std::thread> threads_;  // last: they use all the others
};

}  // namespace aeth::io
