/// A lock on a run's folder, so that no two processes write into it.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "aeth/core/error.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/file_system.hpp"

namespace aeth::io {

inline constexpr char lock_name[] = "lock";

/// Who holds a lock. What the system does not tell is empty or 0.
struct LockHolder {
  std::uint64_t process = 0;
  std::uint64_t start = 0;  ///< of the process, in ticks of the kernel's clock since the machine started
  std::string boot;         ///< id of the machine's start
  std::string host;
  bool operator==(LockHolder const&) const = default;
};

namespace detail {

/// The first line of a file of the kernel's; empty if there is none.
[[nodiscard]] inline std::string kernel_line(std::string const& path) {
  FileDescriptor const file = FileDescriptor::open(path, O_RDONLY);
  if (!file.is_open()) return {};
  char line[1024];
  ::ssize_t const count = uninterrupted([&] { return file.system().read(file.number(), line, sizeof line); });
  std::string_view const content(line, count > 0 ? static_cast<std::size_t>(count) : 0);
  return std::string(content.substr(0, content.find('\n')));
}

/// The next word of a line, which loses it.
[[nodiscard]] inline std::string_view next_word(std::string_view& line) {
  std::size_t const end = line.find(' ');
  std::string_view const word = line.substr(0, end);
  line.remove_prefix(end == line.npos ? line.size() : end + 1);
  return word;
}

/// Digits at the start of a text; 0 if there are none.
[[nodiscard]] inline std::uint64_t leading_number(std::string_view content) {
  std::uint64_t value = 0;
  for (char const c : content) {
    if (c < '0' || c > '9' || value > 1'000'000'000'000'000'000u) break;
    value = 10 * value + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

/// When a process was started; 0 if it is gone or the system does not tell. Process numbers come again, pairs do not.
[[nodiscard]] inline std::uint64_t start_of(std::uint64_t process) {
  std::string const stat = kernel_line(text("/proc/", process, "/stat"));
  // Field 22 of proc(5); the second is a name in parentheses, which may hold spaces and parentheses.
  std::size_t const name_end = stat.rfind(')');
  if (name_end == stat.npos || name_end + 2 > stat.size()) return 0;
  std::string_view rest = std::string_view(stat).substr(name_end + 2);
  for (int field = 3; field < 22; ++field) (void)next_word(rest);
  return leading_number(rest);
}

[[nodiscard]] inline LockHolder this_holder() {
  LockHolder self;
  self.process = static_cast<std::uint64_t>(::getpid());
  self.start = start_of(self.process);
  self.boot = kernel_line("/proc/sys/kernel/random/boot_id");
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) == 0) self.host = host;
  return self;
}

/// A line of always the same length, so that it replaces another one by being written over it.
[[nodiscard]] inline std::string lock_text(LockHolder const& holder) {
  constexpr std::size_t length = 512;
  std::string line =
      text("process ", holder.process, " start ", holder.start, " boot ", holder.boot, " host ", holder.host);
  line.resize(length - 1, ' ');
  return line + '\n';
}

/// What lock_text() says; any other text gives a holder whose process is 0.
[[nodiscard]] inline LockHolder parse_lock(std::string_view line) {
  LockHolder holder;
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  while (!line.empty()) {
    std::string_view const key = next_word(line), value = next_word(line);
    if (key == "process") holder.process = leading_number(value);
    if (key == "start") holder.start = leading_number(value);
    if (key == "boot") holder.boot = value;
    if (key == "host") holder.host = value;
  }
  return holder;
}

/// Whether the holder of a file that the system cannot lock may still be there.
[[nodiscard]] inline bool may_be_alive(LockHolder const& holder, LockHolder const& self) {
  if (holder.process == 0 || holder.process > 0x7FFFFFFF || holder == self) return false;
  if (holder.host != self.host) return true;  // nothing can be known of it
  if (holder.boot != self.boot) return false;
  if (::kill(static_cast<::pid_t>(holder.process), 0) != 0 && errno == ESRCH) return false;
  return start_of(holder.process) == holder.start;
}

}  // namespace detail

/// Holds FOLDER/lock while it lives. The system gives the lock up when the process ends in any way, so none is ever stale;
/// the file stays, and says who had it last. Children of fork() share the lock: use it in the process that made it.
///
/// Where the file system has no locks (some network file systems), the file's content decides: a holder on this machine
/// that is gone is replaced, one on another machine is believed. Two that start at the same moment can miss each other
/// then.
class RunLock {
 public:
  /// The folder must exist.
  ///
  /// errors   UsageError that names the holder; IoError if the file cannot be made, read or written
  explicit RunLock(std::string const& folder, FileSystem& system = FileSystem::system())
      : path_(text(folder, '/', lock_name)), file_(FileDescriptor::open(path_, O_RDWR | O_CREAT, system)) {
    if (!file_.is_open()) throw_io_error("open", path_, errno);
    LockHolder const self = detail::this_holder();
    bool const locked = uninterrupted([&] { return system.lock(file_.number()); }) == 0;
    int const error = locked ? 0 : errno;
    bool const has_locks =
        locked || (error != ENOLCK && error != ENOSYS && error != EOPNOTSUPP && error != EINVAL);
    if (has_locks && !locked && error != EWOULDBLOCK) throw_io_error("lock", path_, error);
    if (!locked) {
      LockHolder const holder = read_holder();
      if (has_locks || detail::may_be_alive(holder, self)) refuse(folder, holder, self);
    }
    // Written from the start, over what another descriptor has read.
    FileDescriptor const again = FileDescriptor::open(path_, O_WRONLY, system);
    if (!again.is_open()) throw_io_error("open", path_, errno);
    write_all(again, detail::lock_text(self), path_);
  }

 private:
  [[nodiscard]] LockHolder read_holder() const {
    char line[512];
    ::ssize_t const count =
        uninterrupted([&] { return file_.system().read(file_.number(), line, sizeof line); });
    if (count < 0) throw_io_error("read", path_, errno);
    return detail::parse_lock(std::string_view(line, static_cast<std::size_t>(count)));
  }

  [[noreturn]] void refuse(std::string const& folder, LockHolder const& holder,
                           LockHolder const& self) const {
    std::string who = "another process";
    if (holder.process != 0) who = holder == self ? "this process" : text("process ", holder.process);
    if (holder.process != 0 && holder.host != self.host) who += text(" on the machine ", holder.host);
    throw UsageError(text("'", folder, "' is in use by ", who, " (lock file '", path_,
                          "'); wait until it has ended, stop it, or use another folder"));
  }

  std::string path_;
  FileDescriptor file_;
};

}  // namespace aeth::io
