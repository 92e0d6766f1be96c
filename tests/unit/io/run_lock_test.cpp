// Row 44 of the fault table: two trainers on one folder.
#include "aeth/io/run_lock.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "aeth/io/generation_writer.hpp"
#include "support/catch.hpp"
#include "support/simulated_disk.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A child that holds the lock of a folder until it is killed.
struct Holder {
  ::pid_t process;

  explicit Holder(std::string const& folder) {
    int ready[2] = {};
    REQUIRE(::pipe(ready) == 0);
    process = ::fork();
    REQUIRE(process >= 0);
    if (process == 0) {
      try {
        io::RunLock const lock(folder);
        (void)!::write(ready[1], "x", 1);
        for (;;) ::pause();
      } catch (...) {
        ::_exit(1);
      }
    }
    ::close(ready[1]);
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
  }
  Holder(Holder const&) = delete;
  Holder& operator=(Holder const&) = delete;
  ~Holder() { kill(); }
  void kill() {
    if (process > 0) {
      ::kill(process, SIGKILL);
      ::waitpid(process, nullptr, 0);
    }
    process = 0;
  }
};

/// A file system without locks.
struct Lockless : test::SimulatedDisk {
  int lock(int) noexcept override {
    errno = ENOLCK;
    return -1;
  }
};

}  // namespace

TEST_CASE("row 44: a second process is refused by the name of the first, which leaves nothing stale",
          "[io][lock]") {
  test::TemporaryFolder const folder;
  Holder holder(folder.path);
  CHECK_THAT(
      test::message_of<UsageError>([&] { io::RunLock const lock(folder.path); }),
      ContainsSubstring(text('\'', folder.path, "' is in use by process ", holder.process, " (lock file")) &&
          ContainsSubstring("use another folder"));
  CHECK_THAT(test::message_of<UsageError>([&] { io::GenerationWriter const writer(folder.path); }),
             ContainsSubstring(text("in use by process ", holder.process)));
  holder.kill();
  io::GenerationWriter const writer(folder.path);
  CHECK_THAT(test::message_of<UsageError>([&] { io::RunLock const lock(folder.path); }),
             ContainsSubstring("in use by this process"));
}

TEST_CASE("the lock says who holds it", "[io][lock]") {
  test::TemporaryFolder const folder;
  {
    io::RunLock const lock(folder.path);
    auto const holder = io::detail::parse_lock(io::read_file(folder.path + "/lock"));
    CHECK(holder == io::detail::this_holder());
    CHECK(holder.process == static_cast<std::uint64_t>(::getpid()));
    CHECK(holder.boot == io::detail::kernel_line("/proc/sys/kernel/random/boot_id"));
#ifdef __linux__
    CHECK(holder.start > 0);
    CHECK(holder.boot.size() == 36);
#endif
  }
  io::write_file_atomic(folder.path + "/lock", "");
  io::RunLock const lock(folder.path);  // whatever is in a file that nobody has locked
  // Damage to the file of a lock that is held changes the message only.
  io::FileDescriptor const file = io::FileDescriptor::open(folder.path + "/lock", O_WRONLY);
  io::write_all(file, std::string(512, '\xFF'), "lock");
  CHECK_THAT(test::message_of<UsageError>([&] { io::RunLock const second(folder.path); }),
             ContainsSubstring("in use by another process"));
}

TEST_CASE("lock files are parsed whatever they hold", "[io][lock]") {
  using io::detail::parse_lock, io::detail::lock_text;
  io::LockHolder const holder{12, 345, "b-o-o-t", "host"};
  CHECK(parse_lock(lock_text(holder)) == holder);
  CHECK(lock_text(holder).size() == 512);
  CHECK(lock_text({1, 2, std::string(600, 'b'), "h"}).size() == 512);
  for (std::string const& line : {std::string(), std::string("\n"), std::string(" "), std::string("process"),
                                  std::string("process x start"), std::string(512, '\0')})
    CHECK(parse_lock(line).process == 0);
  CHECK(parse_lock("process 99999999999999999999999 start -1").start == 0);
}

TEST_CASE("without locks of the file system, the content of the file decides", "[io][lock]") {
  Lockless disk;
  REQUIRE(disk.make_folder("run") == 0);
  { io::RunLock const lock("run", disk); }
  auto const self = io::detail::this_holder();
  auto const taken_from = [&](io::LockHolder const& holder) {
    disk.content("run/lock") = io::detail::lock_text(holder);
    return test::message_of<UsageError>([&] { io::RunLock const lock("run", disk); });
  };
  CHECK(taken_from(self) == "no error");
  auto other = self;
  other.process = static_cast<std::uint64_t>(::getppid());
  other.start = io::detail::start_of(other.process);
  CHECK_THAT(taken_from(other), ContainsSubstring(text("in use by process ", ::getppid())));
  auto const changed = [&](auto change) {
    auto holder = other;
    change(holder);
    return taken_from(holder);
  };
  CHECK(changed([](auto& h) { h.start += 1; }) == "no error");            // its number was given to another
  CHECK(changed([](auto& h) { h.boot = "before"; }) == "no error");       // the machine was started again
  CHECK(changed([](auto& h) { h.process = 0x7FFFFFFE; }) == "no error");  // it is gone
  CHECK_THAT(changed([](auto& h) { h.host += "2"; }),
             ContainsSubstring(text("on the machine ", self.host, '2')));
}

TEST_CASE("a lock that cannot be had for another reason is an error", "[io][lock]") {
  test::SimulatedDisk disk;
  REQUIRE(disk.make_folder("run") == 0);
  for (std::uint64_t n = 1; n <= 4; ++n) {
    disk.plan(test::Fault::error, n);
    CHECK_THAT(test::message_of<IoError>([&] { io::RunLock const lock("run", disk); }),
               ContainsSubstring("run/lock': Input/output error"));
  }
  CHECK_THAT(test::message_of<IoError>([&] { io::RunLock const lock("nowhere", disk); }),
             ContainsSubstring("cannot open 'nowhere/lock'"));
}
