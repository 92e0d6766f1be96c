#include "aeth/io/file.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "support/catch.hpp"
#include "support/simulated_disk.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
namespace fs = std::filesystem;

namespace {

using Folder = aeth::test::TemporaryFolder;

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (IoError const& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("what is written is read back", "[io][file]") {
  Folder const folder;
  std::string const path = folder.path + "/data";
  for (std::size_t const size : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{3'000'001}}) {
    std::string content(size, 'x');
    if (size > 1) content[size / 2] = '\0';
    io::write_file_atomic(path, content);
    CHECK(io::read_file(path) == content);
    CHECK(io::file_size(path) == size);
    CHECK(io::hash_file(path) == io::hash64(content));
    CHECK(folder.entries() == 1);
  }
}

TEST_CASE("the hash is fixed for ever", "[io][hash]") {
  CHECK(io::hash64("") == 0xCBF29CE484222325u);
  CHECK(io::hash64("a") == 0xAF63DC4C8601EC8Cu);
  CHECK(io::hash64("foobar") == 0x85944171F73967E8u);
}

TEST_CASE("errors of reading name the path and the remedy", "[io][file]") {
  Folder const folder;
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(
      message_of([&] { (void)io::read_file(folder.path + "/none"); }),
      ContainsSubstring("/none") && ContainsSubstring("No such file") && ContainsSubstring("spelling"));
  CHECK_THAT(message_of([&] { (void)io::read_file(folder.path); }), ContainsSubstring("folder"));
  CHECK_THAT(message_of([&] { (void)io::read_file("/dev/zero"); }), ContainsSubstring("device"));
  io::write_file_atomic(folder.path + "/big", std::string(11, 'x'));
  CHECK_THAT(message_of([&] { (void)io::read_file(folder.path + "/big", 10); }),
             ContainsSubstring("11 bytes") && ContainsSubstring("limit is 10"));
}

TEST_CASE("a full disk is an error with a reason", "[io][file]") {
  auto const full = io::FileDescriptor::open("/dev/full", O_WRONLY);
  if (!full.is_open()) return;
  CHECK_THAT(message_of([&] { io::write_all(full, "abc", "run/state"); }),
             Catch::Matchers::ContainsSubstring("run/state") &&
                 Catch::Matchers::ContainsSubstring("free some space"));
}

TEST_CASE("a failed write keeps the old content and leaves nothing behind", "[io][file]") {
  Folder const folder;
  std::string const path = folder.path + "/state";
  io::write_file_atomic(path, "old");
  struct ::rlimit saved {};
  ::getrlimit(RLIMIT_FSIZE, &saved);
  auto const handler = std::signal(SIGXFSZ, SIG_IGN);
  struct ::rlimit small = saved;
  small.rlim_cur = 1000;  // the first write is short, the second fails
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string const message = message_of([&] { io::write_file_atomic(path, std::string(5000, 'n')); });
  ::setrlimit(RLIMIT_FSIZE, &saved);
  std::signal(SIGXFSZ, handler);
  CHECK_THAT(message, Catch::Matchers::ContainsSubstring("larger file"));
  CHECK(io::read_file(path) == "old");
  CHECK(folder.entries() == 1);
  CHECK_THAT(message_of([&] { io::write_file_atomic(folder.path + "/no/state", "x"); }),
             Catch::Matchers::ContainsSubstring("folder exists"));
}

TEST_CASE("rows 41 and 42: a file is replaced as a whole, whatever fails at each call", "[io][file]") {
  using test::Fault, test::SimulatedDisk;
  std::string const old(100, 'o'), content(3'000'000, 'n');
  auto const fresh = [&] {
    auto disk = std::make_unique<SimulatedDisk>();
    io::write_file_atomic("state", old, *disk);
    disk->plan(Fault::none, 0);
    return disk;
  };
  auto const counting = fresh();
  io::write_file_atomic("state", content, *counting);
  std::uint64_t const calls = counting->calls();
  CHECK(calls > 8);
  for (std::uint64_t n = 1; n <= calls + 1; ++n) {
    INFO("call " << n);
    auto const interrupted = fresh();
    interrupted->plan(Fault::error, n, EINTR);
    io::write_file_atomic("state", content, *interrupted);
    REQUIRE(interrupted->content("state") == content);
    auto const in_parts = fresh();
    in_parts->plan(Fault::short_write, n);
    io::write_file_atomic("state", content, *in_parts);
    REQUIRE(in_parts->content("state") == content);
    for (Fault const fault : {Fault::error, Fault::crash}) {
      auto const disk = fresh();
      disk->plan(fault, n, ENOSPC);
      std::string const message = message_of([&] { io::write_file_atomic("state", content, *disk); });
      if (message != "no error") REQUIRE_THAT(message, Catch::Matchers::ContainsSubstring("free some space"));
      if (n < calls && fault == Fault::crash) REQUIRE(message != "no error");
      for (std::uint64_t seed = 0; seed < 8; ++seed) {
        auto const after = disk->clone();
        after->restart(SimulatedDisk::Loss::chance, seed);
        std::string const& is = after->content("state");
        REQUIRE((is == content || (is == old && message != "no error")));
      }
    }
  }
}

TEST_CASE("row 48: files of a program without standard streams do not get what it prints", "[io][file]") {
  Folder const folder;
  std::string const path = folder.path + "/state";
  ::pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (int number = 0; number < 3; ++number) ::close(number);
    try {
      io::AtomicFile file(path);
      file.write("content");
      bool const printed = ::write(1, "printed", 7) == 7;
      file.commit();
      ::_exit(printed ? 1 : 7);
    } catch (...) {
      ::_exit(2);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 7);
  CHECK(io::read_file(path) == "content");
}
