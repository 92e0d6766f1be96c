/// Whole files: read with a size limit, write so that a reader sees the old or the new content and nothing
/// else.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "aeth/core/error.hpp"
#include "aeth/io/hash.hpp"

namespace aeth::io {

/// Largest file that read_file() accepts unless told otherwise, in bytes: above any text corpus that fits in
/// memory beside its tokens on a workstation.
inline constexpr std::uint64_t default_read_limit = std::uint64_t{8} << 30;

/// What an errno of a file operation means for the user, as a clause to end a message with.
[[nodiscard]] inline char const* remedy(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return "check the spelling of the path and that its folder exists";
    case EACCES:
    case EPERM:
    case EROFS:
      return "check the permissions of the file and of its folder";
    case ENOSPC:
    case EDQUOT:
      return "free some space or choose another folder";
    case EFBIG:
      return "the file system or a process limit allows no larger file; choose another folder";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit (ulimit -n)";
    case EISDIR:
      return "a folder was given where a file is needed";
    default:
      return "check the disk and the path";
  }
}

/// Throws the IoError for a failed system call: `cannot ACTION 'PATH': REASON; REMEDY`.
[[noreturn]] inline void throw_io_error(std::string_view action, std::string const& path, int error) {
  throw IoError(text("cannot ", action, " '", path, "': ", std::generic_category().message(error), "; ",
                     remedy(error)));
}

/// An open file that closes itself; movable, not copyable.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) noexcept : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  FileDescriptor(FileDescriptor const&) = delete;
  FileDescriptor& operator=(FileDescriptor const&) = delete;
  ~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
  }

  /// Opens a path, again after an interruption; -1 and errno as from open(2).
  static FileDescriptor open(std::string const& path, int flags, ::mode_t mode = 0666) noexcept {
    int number = -1;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): that is how the system declares it
    do number = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    while (number < 0 && errno == EINTR);
    return FileDescriptor(number);
  }

  [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_ = -1;
};

/// Size of a regular file in bytes. IoError if it is missing or something else (folder, device, pipe).
[[nodiscard]] inline std::uint64_t file_size(std::string const& path) {
  struct ::stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_io_error("inspect", path, errno);
  if (S_ISDIR(status.st_mode)) throw_io_error("read", path, EISDIR);
  expect<IoError>(S_ISREG(status.st_mode), "cannot read '", path,
                  "': it is a device or a pipe; give a regular file");
  return static_cast<std::uint64_t>(status.st_size);
}

/// Whether a path is a folder, directly or through a link; false also if it does not exist.
[[nodiscard]] inline bool is_folder(std::string const& path) noexcept {
  struct ::stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// Calls consume(std::string_view) for the file's bytes in order, in parts of at most 1 MiB.
///
/// errors   IoError if the file cannot be read, is longer than `limit` bytes, or grows past it meanwhile
template <class Consume>
void read_file_in_parts(std::string const& path, std::uint64_t limit, Consume&& consume) {
  std::uint64_t const size = file_size(path);
  expect<IoError>(size <= limit, "cannot read '", path, "': it has ", size, " bytes, the limit is ", limit,
                  "; split the file or raise the limit");
  FileDescriptor const file = FileDescriptor::open(path, O_RDONLY);
  if (!file.is_open()) throw_io_error("open", path, errno);
  std::string part(size < (1u << 20) ? static_cast<std::size_t>(size) + 1 : std::size_t{1} << 20, '\0');
  for (std::uint64_t total = 0;;) {
    ::ssize_t const count = ::read(file.number(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error("read", path, errno);
    if (count == 0) return;
    total += static_cast<std::uint64_t>(count);
    expect<IoError>(total <= limit, "cannot read '", path, "': it grew beyond ", limit,
                    " bytes while it was read; wait until its writer is done");
    consume(std::string_view(part.data(), static_cast<std::size_t>(count)));
  }
}

/// The content of a file. Errors: as read_file_in_parts().
[[nodiscard]] inline std::string read_file(std::string const& path,
                                           std::uint64_t limit = default_read_limit) {
  std::string content;
  std::uint64_t const size = file_size(path);
  if (size <= limit) content.reserve(static_cast<std::size_t>(size));
  read_file_in_parts(path, limit, [&](std::string_view part) { content.append(part); });
  return content;
}

/// hash64() of a file's content, in constant memory. Errors: as read_file_in_parts(), without a limit.
[[nodiscard]] inline std::uint64_t hash_file(std::string const& path) {
  Hash64 hash;
  read_file_in_parts(path, ~std::uint64_t{0}, [&](std::string_view part) { hash.add(part); });
  return hash.value();
}

/// Writes all bytes, through short writes and interruptions. `path` is for messages only.
///
/// errors   IoError with the system's reason (disk full, input/output error, …); some bytes may be written
inline void write_all(int descriptor, std::string_view bytes, std::string const& path) {
  while (!bytes.empty()) {
    ::ssize_t const count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error("write", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

namespace detail {

inline void flush_to_disk(int descriptor, std::string const& path) {
  int result = 0;
  do result = ::fsync(descriptor);
  while (result != 0 && errno == EINTR);
  // Some file systems cannot flush a folder and say so with EINVAL; then there is nothing more to do.
  if (result != 0 && errno != EINVAL) throw_io_error("flush", path, errno);
}

/// Removes the file at `path` when it goes out of scope, unless it was kept.
struct TemporaryFile {
  std::string path;
  bool keep = false;

  explicit TemporaryFile(std::string name) : path(std::move(name)) {}
  TemporaryFile(TemporaryFile const&) = delete;
  TemporaryFile(TemporaryFile&&) = delete;
  TemporaryFile& operator=(TemporaryFile const&) = delete;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!keep) ::unlink(path.c_str());
  }
};

}  // namespace detail

/// Makes a name in a folder last: of a file or folder that was made, renamed or removed. Errors: IoError.
inline void flush_folder_of(std::string const& path) {
  std::size_t const slash = path.rfind('/');
  std::string const folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  FileDescriptor const directory = FileDescriptor::open(folder, O_RDONLY | O_DIRECTORY);
  if (!directory.is_open()) throw_io_error("open", folder, errno);
  detail::flush_to_disk(directory.number(), folder);
}

/// Writes a file in parts and puts it in its place as one step: after a crash at any moment the path holds
/// the old or the new content. The parts go to `PATH.tmp-PROCESS` in the same folder; commit() flushes that
/// file, renames it and flushes the folder. Without commit() it is removed and the old content stays. A
/// symbolic link at `path` is replaced, not followed.
///
/// errors   IoError with path, reason and remedy, from any member; the old content stays
/// cost     1 MiB of memory, whatever the file's length; commit() flushes to the disk twice
class AtomicFile {
 public:
  explicit AtomicFile(std::string path)
      : path_(std::move(path)), temporary_(text(path_, ".tmp-", ::getpid())) {
    ::unlink(temporary_.path.c_str());  // left by a killed process that had the same number
    file_ = FileDescriptor::open(temporary_.path, O_WRONLY | O_CREAT | O_EXCL);
    if (!file_.is_open()) {
      temporary_.keep = true;
      throw_io_error("create", temporary_.path, errno);
    }
  }

  void write(std::string_view bytes) {
    constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
    if (waiting_.size() + bytes.size() > buffer_bytes) send();
    if (bytes.size() > buffer_bytes)
      write_all(file_.number(), bytes, path_);
    else
      waiting_ += bytes;
  }

  void commit() {
    send();
    detail::flush_to_disk(file_.number(), path_);
    file_ = FileDescriptor();
    if (::rename(temporary_.path.c_str(), path_.c_str()) != 0) throw_io_error("replace", path_, errno);
    temporary_.keep = true;
    flush_folder_of(path_);
  }

 private:
  void send() {
    write_all(file_.number(), waiting_, path_);
    waiting_.clear();
  }

  std::string path_;
  detail::TemporaryFile temporary_;
  FileDescriptor file_;
  std::string waiting_;
};

/// Replaces a file's content as one step. Errors and guarantees: as AtomicFile.
inline void write_file_atomic(std::string const& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace aeth::io
