#include "aeth/io/read_ahead.hpp"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "aeth/core/random.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string content_of(std::size_t size, std::uint64_t seed) {
  Random random(seed, RandomUse::init);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random.bits());
  return out;
}

/// Pieces from all over the files: tiny and large ones, aligned and not, up to the last byte.
std::vector<io::FilePiece> pieces_of(std::vector<std::string> const& contents, std::uint64_t largest) {
  Random random(9, RandomUse::init);
  std::vector<io::FilePiece> out;
  for (int i = 0; i < 100; ++i) {
    std::size_t const file = random.bits() % contents.size();
    std::uint64_t const size = contents[file].size(), offset = random.bits() % size;
    out.push_back({file, i % 3 == 0 ? offset / 4096 * 4096 : offset, 0});
    out.back().size = std::min(size - out.back().offset, 1 + random.bits() % largest);
  }
  return out;
}

}  // namespace

TEST_CASE("every piece arrives once and whole", "[io][read_ahead]") {
  test::TemporaryFolder const folder;
  std::vector<std::string> const contents{content_of(3 << 20, 1), content_of(5'000'001, 2), content_of(1, 3)};
  std::vector<io::OpenFile> files;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    std::string const path = folder.path + "/" + std::to_string(i);
    io::write_file_atomic(path, contents[i]);
    files.emplace_back(path);
  }
  for (std::uint64_t const largest : {100u, 4'000'000u})
    for (bool const in_cache : {true, false}) {
      if (!in_cache)
        for (io::OpenFile const& file : files) ::posix_fadvise(file.number(), 0, 0, POSIX_FADV_DONTNEED);
      auto const pieces = pieces_of(contents, largest);
      io::ReadAhead ahead(files, pieces);
      std::vector<int> right(pieces.size(), 0);
      // Groups of 40: what one group may take ends before the next.
      for (std::size_t const end : {std::size_t{40}, std::size_t{80}, pieces.size()}) {
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t)
          threads.emplace_back([&] {
            ahead.work_through(end, [&](std::size_t index, std::span<std::byte const> bytes) {
              io::FilePiece const& piece = pieces[index];
              auto const expected = std::string_view(contents[piece.file]).substr(piece.offset, piece.size);
              std::string_view const got(reinterpret_cast<char const*>(bytes.data()), bytes.size());
              right[index] += got == expected ? 1 : 100;
            });
          });
        for (std::thread& thread : threads) thread.join();
        CHECK(std::count(right.begin(), right.end(), 1) == static_cast<std::ptrdiff_t>(end));
      }
    }
}

TEST_CASE("a file that became shorter is an error, soon and for everyone", "[io][read_ahead]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/file";
  io::write_file_atomic(path, content_of(4 << 20, 4));
  std::vector<io::OpenFile> files;
  files.emplace_back(path);
  std::filesystem::resize_file(path, (2 << 20) + 5);
  for (std::uint64_t const size : {std::uint64_t{1} << 19, std::uint64_t{1} << 10}) {
    std::vector<io::FilePiece> pieces;
    for (std::uint64_t at = 0; at < (4 << 20); at += size) pieces.push_back({0, at, size});
    io::ReadAhead ahead(files, pieces);
    for (int again = 0; again < 2; ++again)
      CHECK_THAT(
          test::message_of<IoError>([&] { ahead.work_through(pieces.size(), [](std::size_t, auto) {}); }),
          ContainsSubstring("it ends at byte 2097157"));
  }
}

TEST_CASE("work that fails ends the work of all threads", "[io][read_ahead]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/file";
  io::write_file_atomic(path, content_of(1 << 20, 5));
  std::vector<io::OpenFile> files;
  files.emplace_back(path);
  std::vector<io::FilePiece> const pieces(3000, io::FilePiece{0, 3, 1 << 18});  // many more than buffers
  for (std::size_t const bad : {0u, 8u, 500u, 2999u}) {
    io::ReadAhead ahead(files, pieces);
    std::atomic<int> threw = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        try {
          ahead.work_through(pieces.size(), [&](std::size_t index, auto) {
            if (index == bad) throw NumericError("bad");
          });
        } catch (NumericError const&) {
          ++threw;
        }
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(threw >= 1);
    if (bad < 2900) CHECK(threw == 3);  // nobody waits for a piece that never comes
  }
  io::ReadAhead nothing(files, {}), not_used(files, pieces);
  nothing.work_through(1, [](std::size_t, auto) { FAIL("there is no piece"); });
}
