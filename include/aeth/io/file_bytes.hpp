/// The bytes of a whole file in memory: read into it, or mapped.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "aeth/core/error.hpp"
#include "aeth/io/file.hpp"

namespace aeth::io {

/// How a file comes into memory.
enum class Access {
  read,  ///< copied: whatever happens to the file afterwards, the bytes stay. Needs memory for all of it.
  map,   ///< mapped: pages come when they are touched and can be given up again. If someone shortens the file
         ///< in place meanwhile, touching it kills the process; files replaced by renaming are safe.
};

/// Reads `count` bytes from `offset` on. `path` is for messages only.
///
/// errors   IoError with the system's reason, or if the file ends before
inline void read_at(int descriptor, std::uint64_t offset, std::byte* out, std::uint64_t count,
                    std::string const& path) {
  for (std::uint64_t done = 0; done < count;) {
    std::uint64_t const part = count - done < (1u << 30) ? count - done : (1u << 30);
    ::ssize_t const got = ::pread(descriptor, out + done, part, static_cast<::off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_io_error("read", path, errno);
    expect<IoError>(got > 0, "cannot read '", path, "': it ends at byte ", offset + done, ", ", count - done,
                    " bytes before its size when it was opened; wait until its writer is done");
    done += static_cast<std::uint64_t>(got);
  }
}

/// A regular file that stays open, and its size when it was opened.
class OpenFile {
 public:
  /// errors   IoError if it cannot be opened or is no regular file
  explicit OpenFile(std::string path) : path_(std::move(path)) {
    (void)file_size(path_);  // refuses folders, devices and pipes before open() could wait for one
    file_ = FileDescriptor::open(path_, O_RDONLY);
    if (!file_.is_open()) throw_io_error("open", path_, errno);
    size_ = size_now();
  }

  [[nodiscard]] std::string const& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] int number() const noexcept { return file_.number(); }

  /// errors   IoError if the file has another size than when it was opened
  void expect_same_size() const {
    std::uint64_t const now = size_now();
    expect<IoError>(now == size_, "cannot read '", path_, "': its size changed from ", size_, " to ", now,
                    " bytes while it was read; wait until its writer is done");
  }

 private:
  [[nodiscard]] std::uint64_t size_now() const {
    struct ::stat status {};
    if (::fstat(file_.number(), &status) != 0) throw_io_error("inspect", path_, errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

  std::string path_;
  FileDescriptor file_;
  std::uint64_t size_ = 0;
};

/// All bytes of an open file, aligned to 64 bytes at least. Movable, not copyable; moving keeps the address.
class FileBytes {
 public:
  FileBytes() = default;
  /// A file that cannot be mapped is read.
  ///
  /// errors   IoError if the file cannot be read or its size changes meanwhile
  FileBytes(OpenFile const& file, Access access) : size_(static_cast<std::size_t>(file.size())) {
    if (size_ > 0 && access == Access::map) {
      void* const place = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
      mapped_ = place != MAP_FAILED;
      if (mapped_) data_ = static_cast<std::byte*>(place);
    }
    try {
      if (!mapped_) {
        data_ = static_cast<std::byte*>(::operator new(size_, alignment));
        read_at(file.number(), 0, data_, size_, file.path());
      }
      file.expect_same_size();
    } catch (...) {
      release();
      throw;
    }
  }
  FileBytes(FileBytes const&) = delete;
  FileBytes& operator=(FileBytes const&) = delete;
  FileBytes(FileBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, false)) {}
  FileBytes& operator=(FileBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  ~FileBytes() { release(); }

  [[nodiscard]] std::span<std::byte const> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] bool is_mapped() const noexcept { return mapped_; }

 private:
  static constexpr std::align_val_t alignment{64};

  void release() noexcept {
    if (mapped_)
      ::munmap(data_, size_);
    else
      ::operator delete(data_, alignment);
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool mapped_ = false;
};

}  // namespace aeth::io
