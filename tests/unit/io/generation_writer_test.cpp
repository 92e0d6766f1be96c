// Rows 41, 42 and 47 of the fault table: every call of a save fails, crashes or runs out of memory once.
#include "aeth/io/generation_writer.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>

#include "aeth/io/generations.hpp"
#include "support/catch.hpp"
#include "support/file_size_limit.hpp"
#include "support/saved_state.hpp"
#include "support/simulated_disk.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using test::Fault, test::SavedState, test::SimulatedDisk;
namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__)
#define AETH_TEST_KEEPS_OPERATOR_NEW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AETH_TEST_KEEPS_OPERATOR_NEW 1
#endif
#endif

namespace {
/// Allocations until one fails, on the thread that sets it; 0 = none does.
thread_local std::uint64_t allocations_left = 0;
}  // namespace

#ifndef AETH_TEST_KEEPS_OPERATOR_NEW
namespace {
void* allocate(std::size_t size, std::size_t alignment) {
  bool const counts = allocations_left > 0 && !SimulatedDisk::is_inside();
  if (counts && --allocations_left == 0) throw std::bad_alloc();
  void* const memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace

// Not inlined: g++ 12 would take the call of free() in delete for one without new.
void* operator new(std::size_t size) {
  return allocate(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#endif

namespace {

constexpr io::KeepOptions keep{.last = 2, .best = 1};

/// A folder on a simulated disk with the generations of steps 1 and 2, the first of which is the next to go.
std::unique_ptr<SimulatedDisk> two_generations() {
  auto disk = std::make_unique<SimulatedDisk>();
  io::GenerationWriter writer("run", keep, *disk);
  for (std::uint64_t step = 1; step <= 2; ++step) writer.write(SavedState(step).content());
  return disk;
}

/// The calls of saving step 3.
std::uint64_t calls_of_a_save() {
  auto const disk = two_generations();
  io::GenerationWriter writer("run", keep, *disk);
  disk->plan(Fault::none, 0);
  writer.write(SavedState(3).content());
  return disk->calls();
}

std::vector<std::string> names_in(SimulatedDisk& disk, char const* folder = "run") {
  std::vector<std::string> names;
  REQUIRE(disk.list(folder, names) == 0);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> const clean_names{"latest", "lock", "step-000000002", "step-000000003"};

}  // namespace

TEST_CASE("a save makes few calls", "[io][generations]") {
  CHECK(calls_of_a_save() > 30);
  CHECK(calls_of_a_save() < 60);
}

TEST_CASE("row 41: each call of a save fails once, or that and all after it", "[io][generations]") {
  std::uint64_t const calls = calls_of_a_save();
  std::size_t refused = 0;
  for (Fault const fault : {Fault::error, Fault::all_errors})
    for (int const error : {ENOSPC, EIO, EDQUOT})
      for (std::uint64_t n = 1; n <= calls; ++n) {
        INFO("call " << n << ", error " << error);
        auto const disk = two_generations();
        auto writer = std::make_unique<io::GenerationWriter>("run", keep, *disk);
        SavedState const state(3), same(3);
        disk->plan(fault, n, error);
        bool failed = false;
        try {
          writer->write(state.content());
        } catch (IoError const& refusal) {
          failed = true;
          REQUIRE_THAT(refusal.what(), ContainsSubstring("run") && ContainsSubstring("; "));
          if (error != EIO) REQUIRE_THAT(refusal.what(), ContainsSubstring("free some space"));
        }
        refused += failed ? 1 : 0;
        disk->plan(Fault::none, 0);
        REQUIRE(state.weights == same.weights);
        std::uint64_t const step = test::clean_step("run", *disk);
        REQUIRE((step == 3 || (step == 2 && failed)));
        // The power goes now, or the next save is fine: of this writer, and of one that finds what is there.
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
          auto const cut = disk->clone();
          cut->restart(SimulatedDisk::Loss::chance, seed);
          REQUIRE(test::clean_step("run", *cut) >= 2);
        }
        auto const other_disk = disk->clone();
        auto const done = writer->write(SavedState(4).content());
        REQUIRE(done.notices.empty());
        REQUIRE(test::clean_step("run", *disk) == 4);
        REQUIRE(names_in(*disk).size() == 4);
        io::GenerationWriter other("run", keep, *other_disk);
        REQUIRE(other.write(SavedState(4).content()).notices.empty());
        REQUIRE(test::clean_step("run", *other_disk) == 4);
        REQUIRE(names_in(*other_disk).size() == 4);
      }
  CHECK(refused > 3 * calls);
}

TEST_CASE("row 41: short writes and interruptions at each call change nothing", "[io][generations]") {
  std::uint64_t const calls = calls_of_a_save();
  auto const clean = two_generations();
  for (std::uint64_t n = 1; n <= calls + 40; ++n)
    for (Fault const fault : {Fault::short_write, Fault::error}) {
      INFO("call " << n);
      auto const disk = two_generations();
      disk->plan(fault, n, EINTR);
      io::GenerationWriter writer("run", keep, *disk);
      REQUIRE(writer.write(SavedState(3).content()).notices.empty());
      disk->plan(Fault::none, 0);
      REQUIRE(test::clean_step("run", *disk) == 3);
      REQUIRE(names_in(*disk) == clean_names);
    }
}

TEST_CASE("row 42: the power goes, or the process is killed, before each call of a save",
          "[io][generations]") {
  using Loss = SimulatedDisk::Loss;
  std::uint64_t const calls = calls_of_a_save();
  std::size_t old_ones = 0, new_ones = 0;
  for (std::uint64_t n = 1; n <= calls + 1; ++n) {
    auto const crashed = two_generations();
    {
      io::GenerationWriter writer("run", keep, *crashed);
      crashed->plan(Fault::crash, n);
      try {
        writer.write(SavedState(3).content());
      } catch (IoError const&) {
      }
    }
    for (std::uint64_t outcome = 0; outcome < 64; ++outcome) {
      constexpr Loss losses[] = {Loss::nothing, Loss::everything, Loss::bytes, Loss::halves};
      Loss const loss = outcome < 4 ? losses[outcome] : Loss::chance;
      INFO("call " << n << ", outcome " << outcome);
      auto const disk = crashed->clone();
      disk->restart(loss, outcome);
      std::uint64_t const step = test::clean_step("run", *disk);
      REQUIRE((step == 2 || step == 3));
      ++(step == 2 ? old_ones : new_ones);
      if (n > calls) REQUIRE(step == 3);  // the save had returned
      // Who starts now finds it too, tidies up and goes on.
      io::GenerationWriter writer("run", keep, *disk);
      REQUIRE(test::whole_step(writer.newest()) == step);
      REQUIRE(writer.write(SavedState(3).content()).notices.empty());
      REQUIRE(test::clean_step("run", *disk) == 3);
      REQUIRE(names_in(*disk).size() == 4);
    }
  }
  CHECK(old_ones > 1000);
  CHECK(new_ones > 500);
}

TEST_CASE("row 42: a crash of the very first save, and of making the folder", "[io][generations]") {
  SimulatedDisk counting;
  io::GenerationWriter("a/b", keep, counting).write(SavedState(1).content());
  std::uint64_t const calls = counting.calls();
  for (std::uint64_t n = 1; n <= calls; ++n)
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      INFO("call " << n);
      SimulatedDisk disk;
      disk.plan(Fault::crash, n);
      try {
        io::GenerationWriter("a/b", keep, disk).write(SavedState(1).content());
      } catch (IoError const&) {
      }
      disk.restart(SimulatedDisk::Loss::chance, seed);
      io::GenerationWriter writer("a/b", keep, disk);
      if (writer.has_generations()) REQUIRE(test::whole_step(writer.newest()) == 1);
      writer.write(SavedState(1).content());
      REQUIRE(test::clean_step("a/b", disk) == 1);
    }
}

TEST_CASE("row 41: opening a folder fails at each call, and nothing is lost", "[io][generations]") {
  for (std::uint64_t n = 1; n < 60; ++n) {
    auto const disk = two_generations();
    // Something to tidy up, too.
    (void)disk->make_folder("run/unfinished");
    disk->copy("run/latest", "run/unfinished/a.safetensors");
    disk->copy("run/latest", "run/latest.tmp-123");
    disk->plan(Fault::error, n);
    try {
      io::GenerationWriter const writer("run", keep, *disk);
    } catch (IoError const& error) {
      REQUIRE_THAT(error.what(), ContainsSubstring("run"));
    }
    disk->plan(Fault::none, 0);
    REQUIRE(test::clean_step("run", *disk) == 2);
    io::GenerationWriter const writer("run", keep, *disk);
    REQUIRE(names_in(*disk) ==
            std::vector<std::string>{"latest", "lock", "step-000000001", "step-000000002"});
  }
}

#ifndef AETH_TEST_KEEPS_OPERATOR_NEW
TEST_CASE("row 47: memory ends at each allocation of a save", "[io][generations]") {
  auto const content = SavedState(3).content();
  SavedState const state(3), same(3);
  std::uint64_t failures = 0;
  for (std::uint64_t n = 1;; ++n) {
    auto const disk = two_generations();
    io::GenerationWriter writer("run", keep, *disk);
    io::GenerationContent const save = state.content();
    bool failed = false;
    allocations_left = n;
    try {
      writer.write(save);
    } catch (std::bad_alloc const&) {
      failed = true;
    }
    bool const used_up = allocations_left == 0;
    allocations_left = 0;
    INFO("allocation " << n);
    REQUIRE((used_up || !failed));  // sorting goes on without memory
    REQUIRE(state.weights == same.weights);
    std::uint64_t const step = test::clean_step("run", *disk);
    REQUIRE((step == 3 || (step == 2 && failed)));
    REQUIRE(writer.write(SavedState(4).content()).notices.empty());
    REQUIRE(test::clean_step("run", *disk) == 4);
    REQUIRE(names_in(*disk).size() == 4);
    if (!used_up) break;
    failures += failed ? 1 : 0;
  }
  CHECK(failures > 50);
}
#endif

#ifndef AETH_TEST_KEEPS_OPERATOR_NEW
TEST_CASE("row 47: memory ends at each allocation of loading", "[io][generations]") {
  auto const disk = two_generations();
  std::uint64_t failures = 0;
  for (std::uint64_t n = 1;; ++n) {
    std::uint64_t step = 0;
    allocations_left = n;
    try {
      step = io::newest_generation("run", {}, *disk).step();
    } catch (std::bad_alloc const&) {
    }
    bool const used_up = allocations_left == 0;
    allocations_left = 0;
    INFO("allocation " << n);
    REQUIRE((step == 2 || used_up));
    if (!used_up) break;
    failures += step == 0 ? 1 : 0;
  }
  CHECK(failures > 100);
}
#endif

TEST_CASE("which generations are kept: the newest, the best, and bad ones beside them", "[io][generations]") {
  SimulatedDisk disk;
  io::GenerationWriter writer("run", {.last = 2, .best = 2}, disk);
  double const scores[] = {5, 3, 4, std::nan(""), 6, 2, 7, 8};
  std::uint64_t step = 0;
  for (double const score : scores) {
    SavedState const state(++step);
    auto content = state.content();
    content.score = score;
    CHECK(writer.write(content).notices.empty());
  }
  auto const steps = [&] {
    std::string all;
    for (std::string const& name : names_in(disk))
      if (auto const s = io::detail::step_of(name)) all += text(*s, ' ');
    return all;
  };
  CHECK(steps() == "2 6 7 8 ");
  CHECK(io::newest_generation("run", {}, disk).manifest().score == 8.0);

  // A bad one stays and does not count; so the two newest good ones are there.
  disk.content("run/step-000000008/a.safetensors").back() ^= 1;
  CHECK(writer.newest().step() == 7);
  writer.write(SavedState(9).content());
  CHECK(steps() == "2 6 7 8 9 ");
  writer.write(SavedState(10).content());
  CHECK(steps() == "2 6 8 9 10 ");
  CHECK(disk.contents().count("run/step-000000008/a.safetensors") == 1);

  // So it is for a writer that finds a damaged manifest, and with files that are none of ours.
  disk.content("run/step-000000010/manifest.json")[5] ^= 1;
  (void)disk.make_folder("run/step-7");
  disk.copy("run/latest", "run/notes.txt");
  disk.restart(SimulatedDisk::Loss::nothing);
  io::GenerationWriter again("run", {.last = 1}, disk);
  CHECK(again.newest().step() == 9);  // so step 8 is not looked at, and is an old one like others
  again.write(SavedState(11).content());
  CHECK(steps() == "10 11 ");
  CHECK(names_in(disk) == std::vector<std::string>{"latest", "lock", "notes.txt", "step-000000010",
                                                   "step-000000011", "step-7"});
}

TEST_CASE("a step that is saved again is another generation", "[io][generations]") {
  SimulatedDisk disk;
  io::GenerationWriter writer("run", {.last = 3}, disk);
  for (std::uint64_t const step : {20u, 30u, 25u, 30u, 30u}) writer.write(SavedState(step).content());
  CHECK(test::clean_step("run", disk) == 30);
  CHECK(names_in(disk) ==
        std::vector<std::string>{"latest", "lock", "step-000000025", "step-000000030.2", "step-000000030.3"});
  // The order is that of saving, not of steps.
  writer.write(SavedState(21).content());
  CHECK(test::clean_step("run", disk) == 21);
  // A generation that is removed meanwhile is no harm.
  (void)disk.rename("run/step-000000030.2", "run/gone");
  CHECK(writer.write(SavedState(22).content()).notices.empty());
  CHECK(test::clean_step("run", disk) == 22);
}

TEST_CASE("a generation that cannot be removed stays, with a notice", "[io][generations]") {
  auto const disk = two_generations();
  io::GenerationWriter writer("run", keep, *disk);
  (void)disk->make_folder("run/step-000000001/mine");
  auto const done = writer.write(SavedState(3).content());
  CHECK_THAT(test::lines_of(done.notices), ContainsSubstring("cannot remove"));
  CHECK(test::clean_step("run", *disk) == 3);
}

TEST_CASE("starting over removes what there was and begins another run", "[io][generations]") {
  auto const disk = two_generations();
  std::string const run = io::newest_generation("run", {}, *disk).manifest().run;
  io::GenerationWriter writer("run", keep, *disk);
  disk->content("run/step-000000001/manifest.json")[9] ^= 1;
  CHECK(writer.has_generations());
  writer.start_over();
  CHECK(!writer.has_generations());
  CHECK(names_in(*disk) == std::vector<std::string>{"lock"});
  writer.write(SavedState(1).content());
  CHECK(test::clean_step("run", *disk) == 1);
  CHECK(io::newest_generation("run", {}, *disk).manifest().run != run);
  CHECK(run.size() == 32);
}

TEST_CASE("what makes no generation is refused, and leaves nothing behind", "[io][generations]") {
  auto const disk = two_generations();
  io::GenerationWriter writer("run", keep, *disk);
  auto const before = disk->contents();
  auto const refused = [&](auto change, std::string const& message) {
    SavedState const state(3);
    auto content = state.content();
    change(content);
    CHECK_THAT(test::message_of<Error>([&] { writer.write(content); }), ContainsSubstring(message));
    CHECK(disk->contents() == before);
  };
  refused([](auto& c) { c.files[1].name = "../b"; }, "'../b' is no name");
  refused([](auto& c) { c.files[1].name = "manifest.json"; }, "'manifest.json' is no name");
  refused([](auto& c) { c.files[1].name = c.files[0].name; }, "File exists");
  refused([](auto& c) { c.notes["n"] = "\xFF"; }, "not UTF-8");
  refused([](auto& c) { c.files[0].tensors[1].name = "w"; }, "given twice");
  refused([](auto& c) { c.files[0].tensors[0].shape = {7}; }, "which are not F32 [7]");
  CHECK_THAT(test::message_of<UsageError>([&] { io::GenerationWriter("x", {.last = 0}, *disk); }),
             ContainsSubstring("KeepOptions::last is 0"));
}

TEST_CASE("row 41: a real full disk keeps the generations that are there", "[io][generations]") {
  test::TemporaryFolder const folder;
  io::GenerationWriter writer(folder.path + "/run");
  writer.write(SavedState(1).content());
  SavedState const large(2, 100'000);
  for (::rlim_t const limit : {0u, 1u, 300u, 100'000u, 400'300u, 800'000u}) {
    test::FileSizeLimit const full(limit);
    CHECK_THAT(test::message_of<IoError>([&] { writer.write(large.content()); }),
               ContainsSubstring("step-000000002/") && ContainsSubstring("choose another folder"));
    CHECK(test::clean_step(folder.path + "/run") == 1);
    CHECK(!fs::exists(folder.path + "/run/unfinished"));
  }
  writer.write(large.content());
  CHECK(test::clean_step(folder.path + "/run") == 2);
}

TEST_CASE("row 41: folders that cannot be made", "[io][generations]") {
  test::TemporaryFolder const folder;
  io::write_file_atomic(folder.path + "/file", "x");
  CHECK_THAT(test::message_of<IoError>([&] { io::GenerationWriter(folder.path + "/file"); }),
             ContainsSubstring("cannot create the folder '" + folder.path + "/file': Not a directory"));
  CHECK_THAT(test::message_of<IoError>([&] { io::GenerationWriter(folder.path + "/file/run"); }),
             ContainsSubstring("cannot create the folder"));
  CHECK_THAT(test::message_of<IoError>([&] { io::GenerationWriter("/proc/aeth"); }),
             ContainsSubstring("cannot create the folder '/proc/aeth'"));
  CHECK_THAT(test::message_of<IoError>([&] { io::GenerationWriter(""); }),
             ContainsSubstring("cannot create the folder ''"));
}

TEST_CASE("row 42: a writer killed at any moment leaves a whole generation", "[io][generations]") {
  test::TemporaryFolder const folder;
  std::uint64_t reached = 0;
  for (int round = 0; round < 15; ++round) {
    ::pid_t const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        io::GenerationWriter writer(folder.path);
        for (std::uint64_t step = reached + 1;; ++step) writer.write(SavedState(step, 20'000).content());
      } catch (...) {
        ::_exit(1);
      }
    }
    ::usleep(static_cast<::useconds_t>(2500 * (round + 1)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    if (reached == 0 && !fs::exists(folder.path + "/latest")) continue;
    std::uint64_t const step = test::clean_step(folder.path);
    CHECK(step >= reached);
    reached = step;
  }
  CHECK(reached > 1);
  io::GenerationWriter(folder.path).write(SavedState(reached + 1).content());
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 4);
}

TEST_CASE("row 46: a child of fork() must not write for its parent", "[io][generations]") {
  test::TemporaryFolder const folder;
  io::GenerationWriter writer(folder.path);
  ::pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      writer.write(SavedState(1).content());
    } catch (UsageError const&) {
      ::_exit(7);
    } catch (...) {
    }
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 7);
  writer.write(SavedState(2).content());
  CHECK(test::clean_step(folder.path) == 2);
}
