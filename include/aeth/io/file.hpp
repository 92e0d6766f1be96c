/// Whole files: read with a size limit, write so that a reader sees the old or the new content and nothing
/// else.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "aeth/core/error.hpp"
#include "aeth/io/file_system.hpp"
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
  explicit FileDescriptor(int number, FileSystem& system = FileSystem::system()) noexcept
      : system_(&system), number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : system_(other.system_), number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(system_, other.system_);
    std::swap(number_, other.number_);
    return *this;
  }
  FileDescriptor(FileDescriptor const&) = delete;
  FileDescriptor& operator=(FileDescriptor const&) = delete;
  ~FileDescriptor() { (void)close(); }

  /// Opens a path, again after an interruption; -1 and errno as from open(2).
  static FileDescriptor open(std::string const& path, int flags,
                             FileSystem& system = FileSystem::system()) noexcept {
    return FileDescriptor(uninterrupted([&] { return system.open(path.c_str(), flags); }), system);
  }

  /// Whether all went well; if not, errno says why. The file is closed in any case.
  [[nodiscard]] bool close() noexcept {
    int const number = std::exchange(number_, -1);
    // Interrupted, it is closed all the same on Linux: a second call could close another thread's file.
    return number < 0 || system_->close(number) == 0 || errno == EINTR;
  }

  [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] FileSystem& system() const noexcept { return *system_; }

 private:
  FileSystem* system_ = nullptr;
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

/// Whether there is something of that path, of whatever kind.
[[nodiscard]] inline bool path_exists(std::string const& path) noexcept {
  struct ::stat status {};
  return ::stat(path.c_str(), &status) == 0;
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
inline void write_all(FileDescriptor const& file, std::string_view bytes, std::string const& path) {
  while (!bytes.empty()) {
    ::ssize_t const count =
        uninterrupted([&] { return file.system().write(file.number(), bytes.data(), bytes.size()); });
    if (count <= 0) throw_io_error("write", path, count == 0 ? EIO : errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// The part of a path before its last slash; "." if it has none.
[[nodiscard]] inline std::string folder_of(std::string const& path) {
  std::size_t const slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

/// Makes the names in a folder last: of files or folders that were made, renamed or removed. Errors: IoError.
inline void flush_folder(std::string const& folder, FileSystem& system = FileSystem::system()) {
  FileDescriptor const directory = FileDescriptor::open(folder, O_RDONLY | O_DIRECTORY, system);
  if (!directory.is_open()) throw_io_error("open", folder, errno);
  if (uninterrupted([&] { return system.flush(directory.number()); }) != 0)
    throw_io_error("flush", folder, errno);
}

/// The same for the folder that a path is in.
inline void flush_folder_of(std::string const& path) {
  flush_folder(folder_of(path));
}

/// A file that nobody had before, written in parts. Without finish() it may be incomplete.
///
/// errors   IoError with reason and remedy, from any member but the destructor
/// cost     1 MiB of memory, whatever the file's length
class NewFile {
 public:
  /// `shown` is the path for messages, where the file is to be renamed.
  NewFile(std::string const& path, std::string shown, FileSystem& system = FileSystem::system())
      : shown_(std::move(shown)), file_(FileDescriptor::open(path, O_WRONLY | O_CREAT | O_EXCL, system)) {
    if (!file_.is_open()) throw_io_error("create", path, errno);
  }

  void write(std::string_view bytes) {
    constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
    if (waiting_.size() + bytes.size() > buffer_bytes) send();
    if (bytes.size() >= buffer_bytes)
      write_all(file_, bytes, shown_);
    else
      waiting_ += bytes;
  }

  /// Its content is on the disk afterwards; its name is when the folder has been flushed, too.
  void finish() {
    send();
    if (uninterrupted([&] { return file_.system().flush(file_.number()); }) != 0)
      throw_io_error("flush", shown_, errno);
    if (!file_.close()) throw_io_error("close", shown_, errno);
  }

 private:
  void send() {
    write_all(file_, waiting_, shown_);
    waiting_.clear();
  }

  std::string shown_;
  FileDescriptor file_;
  std::string waiting_;
};

/// Writes a file in parts and puts it in its place as one step: after a crash at any moment the path holds
/// the old or the new content. The parts go to `PATH.tmp-PROCESS` in the same folder; commit() flushes that
/// file, renames it and flushes the folder. Without commit() it is removed and the old content stays. A
/// symbolic link at `path` is replaced, not followed.
///
/// errors   as NewFile; the old content stays
/// cost     as NewFile; commit() flushes to the disk twice
class AtomicFile {
 public:
  explicit AtomicFile(std::string path, FileSystem& system = FileSystem::system())
      : path_(std::move(path)),
        temporary_(text(path_, ".tmp-", ::getpid()), system),
        file_(temporary_.make_room(), path_, system) {
    temporary_.made = true;
  }

  void write(std::string_view bytes) { file_.write(bytes); }

  void commit() {
    file_.finish();
    if (temporary_.system.rename(temporary_.path.c_str(), path_.c_str()) != 0)
      throw_io_error("replace", path_, errno);
    temporary_.made = false;
    flush_folder(folder_of(path_), temporary_.system);
  }

 private:
  /// Is removed when it goes out of scope.
  struct Temporary {
    std::string path;
    FileSystem& system;
    bool made = false;

    Temporary(std::string name, FileSystem& on) : path(std::move(name)), system(on) {}
    Temporary(Temporary const&) = delete;
    Temporary(Temporary&&) = delete;
    Temporary& operator=(Temporary const&) = delete;
    Temporary& operator=(Temporary&&) = delete;
    ~Temporary() {
      if (made) system.remove_file(path.c_str());
    }

    /// Removes what a killed process that had the same number has left.
    std::string const& make_room() const {
      system.remove_file(path.c_str());
      return path;
    }
  };

  std::string path_;
  Temporary temporary_;
  NewFile file_;
};

/// Replaces a file's content as one step. Errors and guarantees: as AtomicFile.
inline void write_file_atomic(std::string const& path, std::string_view content,
                              FileSystem& system = FileSystem::system()) {
  AtomicFile file(path, system);
  file.write(content);
  file.commit();
}

}  // namespace aeth::io
