/// The system calls that saving and loading make, behind one interface, so that tests can let each of them fail.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace aeth::io {

/// Every member is a system call: -1 and errno where it fails. It may be interrupted (EINTR) and may do less than was
/// asked; the functions of `io/file.hpp` see to that.
class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(FileSystem const&) = delete;
  FileSystem(FileSystem&&) = delete;
  FileSystem& operator=(FileSystem const&) = delete;
  FileSystem& operator=(FileSystem&&) = delete;
  virtual ~FileSystem() = default;

  /// This machine's own.
  [[nodiscard]] static FileSystem& system() noexcept;

  /// A descriptor by the flags of open(2). Other programs that the process starts do not get it.
  virtual int open(char const* path, int flags) noexcept = 0;
  virtual int close(int file) noexcept = 0;
  virtual ::ssize_t read(int file, void* to, std::size_t count) noexcept = 0;
  virtual ::ssize_t write(int file, void const* from, std::size_t count) noexcept = 0;
  /// Bytes of a regular file; EINVAL for a folder, a device or a pipe.
  virtual std::int64_t size(int file) noexcept = 0;
  /// After it, the content of a file, or the names in a folder, outlast a power loss.
  virtual int flush(int file) noexcept = 0;
  /// Takes the file for this process until the descriptor is closed, however that comes about; EWOULDBLOCK if another
  /// has it.
  virtual int lock(int file) noexcept = 0;
  virtual int rename(char const* from, char const* to) noexcept = 0;
  virtual int remove_file(char const* path) noexcept = 0;
  virtual int make_folder(char const* path) noexcept = 0;
  virtual int remove_folder(char const* path) noexcept = 0;
  /// Adds the names in a folder, in no order. May throw std::bad_alloc.
  virtual int list(char const* path, std::vector<std::string>& names) = 0;
};

namespace detail {

class PosixFileSystem final : public FileSystem {
 public:
  int open(char const* path, int flags) noexcept override {
    // NOLINTBEGIN(cppcoreguidelines-pro-type-vararg): that is how the system declares them
    int const number = ::open(path, flags | O_CLOEXEC, 0666);
    if (number < 0 || number > STDERR_FILENO) return number;
    // The program was started without standard streams: what it prints must not end up in this file.
    int const moved = ::fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    // NOLINTEND(cppcoreguidelines-pro-type-vararg)
    int const error = errno;
    ::close(number);
    errno = error;
    return moved;
  }
  int close(int file) noexcept override { return ::close(file); }
  ::ssize_t read(int file, void* to, std::size_t count) noexcept override { return ::read(file, to, count); }
  ::ssize_t write(int file, void const* from, std::size_t count) noexcept override {
    return ::write(file, from, count);
  }
  std::int64_t size(int file) noexcept override {
    struct ::stat status {};
    if (::fstat(file, &status) != 0) return -1;
    if (S_ISREG(status.st_mode)) return status.st_size;
    errno = EINVAL;
    return -1;
  }
  int flush(int file) noexcept override {
    // Some file systems cannot flush a folder and say so with EINVAL; then there is nothing more to do.
    return ::fsync(file) == 0 || errno == EINVAL ? 0 : -1;
  }
  int lock(int file) noexcept override { return ::flock(file, LOCK_EX | LOCK_NB); }
  int rename(char const* from, char const* to) noexcept override { return std::rename(from, to); }
  int remove_file(char const* path) noexcept override { return ::unlink(path); }
  int make_folder(char const* path) noexcept override { return ::mkdir(path, 0777); }
  int remove_folder(char const* path) noexcept override { return ::rmdir(path); }
  int list(char const* path, std::vector<std::string>& names) override {
    struct Folder {
      ::DIR* const open;
      explicit Folder(char const* name) : open(::opendir(name)) {}
      Folder(Folder const&) = delete;
      Folder& operator=(Folder const&) = delete;
      ~Folder() {
        if (open) ::closedir(open);
      }
    } const folder(path);
    if (!folder.open) return -1;
    for (;;) {
      errno = 0;
      ::dirent const* const entry = ::readdir(folder.open);
      if (!entry) return errno == 0 ? 0 : -1;
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
  }
};

}  // namespace detail

inline FileSystem& FileSystem::system() noexcept {
  static detail::PosixFileSystem instance;
  return instance;
}

/// Makes a system call again while it is interrupted.
template <class Call>
[[nodiscard]] auto uninterrupted(Call const& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace aeth::io
