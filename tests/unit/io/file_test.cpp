#include "aeth/io/file.hpp"

#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "support/catch.hpp"
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
  CHECK_THAT(message_of([&] { io::write_all(full.number(), "abc", "run/state"); }),
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
