// Row 43 of the fault table: damaged, swapped and missing files of generations. Rows 41, 42 and 47 are in
// generation_writer_test.cpp.
#include "aeth/io/generations.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "aeth/io/generation_writer.hpp"
#include "support/catch.hpp"
#include "support/saved_state.hpp"
#include "support/simulated_disk.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using test::SavedState, test::SimulatedDisk, test::whole_step;
namespace fs = std::filesystem;

namespace {

/// The generations of steps 1, 2 and 3, all kept.
std::unique_ptr<SimulatedDisk> three_generations() {
  auto disk = std::make_unique<SimulatedDisk>();
  io::GenerationWriter writer("run", {.last = 3}, *disk);
  for (std::uint64_t step = 1; step <= 3; ++step) writer.write(SavedState(step).content());
  return disk;
}

std::string const third = "run/step-000000003", second = "run/step-000000002";

/// The step of the newest good generation, whose notices are added to `lines`.
std::uint64_t newest_step(SimulatedDisk& disk, std::string* lines = nullptr) {
  auto const generation = io::newest_generation("run", {}, disk);
  if (lines) *lines = test::lines_of(generation.notices());
  return whole_step(generation);
}

/// Puts another value into a field of a manifest, with the right hash.
void rewrite(SimulatedDisk& disk, std::string const& path, std::string const& from, std::string const& to) {
  std::string& content = disk.content(path);
  std::size_t const at = content.find(from);
  REQUIRE(at != content.npos);
  content.replace(at, from.size(), to);
  content = io::detail::with_hash(content.substr(0, content.rfind(",\n  \"hash\"")));
}

}  // namespace

TEST_CASE("the block hash is fixed for ever, and does not depend on how bytes are cut", "[io][hash]") {
  auto const hash = [](std::string_view bytes) {
    io::BlockHash64 h;
    h.add(bytes);
    return h.value();
  };
  std::string bytes;
  for (int i = 0; i < 200; ++i) bytes += static_cast<char>(37 * i + 11);
  CHECK(io::hash_text(hash("")) == "f313ec7186241c23");
  CHECK(io::hash_text(hash("a")) == "31e19c50a3a9a9a1");
  CHECK(io::hash_text(hash(bytes)) == "1ab0c3eec81f3649");
  for (std::size_t first = 0; first <= bytes.size(); ++first)
    for (std::size_t const then :
         {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{32}, std::size_t{50}}) {
      io::BlockHash64 parts;
      parts.add(std::string_view(bytes).substr(0, first));
      parts.add(std::string_view(bytes).substr(first, then));
      parts.add(std::string_view(bytes).substr(std::min(first + then, bytes.size())));
      REQUIRE(parts.value() == hash(bytes));
    }
  // Zeros at the end count, and so do all bits.
  CHECK(hash(std::string(3, '\0')) != hash(std::string(4, '\0')));
  CHECK(hash(std::string(32, '\0')) != hash(std::string(64, '\0')));
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string other = bytes;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << bit % 8));
    REQUIRE(hash(other) != hash(bytes));
  }
}

TEST_CASE("manifests survive writing and reading", "[io][generations]") {
  io::Manifest manifest{"step-000000007", "0123", 3, 7};
  CHECK(io::parse_manifest(io::manifest_text(manifest), "m") == manifest);
  manifest.score = 0.1;
  manifest.notes = {{"a", "1\n\"2\""}, {std::string("n\0l", 3), "\xC3\xA9"}};
  manifest.files = {{"x.safetensors", 5, ~std::uint64_t{0}, {{std::string("t\0", 2), 1}, {"u", 2}}},
                    {"y", 6, 7, {}}};
  CHECK(io::parse_manifest(io::manifest_text(manifest), "m") == manifest);
  manifest.notes["bad"] = "\xFF";
  CHECK_THAT(test::message_of<UsageError>([&] { (void)io::manifest_text(manifest); }),
             ContainsSubstring("UTF-8"));
}

TEST_CASE("row 46: names of generations, up to the largest step", "[io][generations]") {
  using io::detail::generation_name, io::detail::step_of;
  CHECK(generation_name(0) == "step-000000000");
  CHECK(generation_name(std::uint64_t{1} << 31) == "step-2147483648");
  CHECK(generation_name(12, 2) == "step-000000012.2");
  for (std::uint64_t const step : {std::uint64_t{0}, std::uint64_t{1} << 31, ~std::uint64_t{0}})
    for (std::uint64_t const copy : {1u, 2u, 10u}) CHECK(step_of(generation_name(step, copy)) == step);
  for (char const* const name :
       {"step-", "step-1", "step-0000000012", "step-000000012.1", "step-000000012.02", "step-000000012.",
        "step-+00000012", "step-000000012 ", "Step-000000012", "step-99999999999999999999", "step-000000012/",
        "../step-000000012", ""})
    CHECK(!step_of(name));
}

TEST_CASE("row 43: a bit flipped in any byte of any file is found or harmless", "[io][generations]") {
  auto const disk = three_generations();
  std::size_t found = 0, harmless = 0;
  for (auto const& [path, content] : disk->contents()) {
    if (path.back() == '/') continue;
    for (std::size_t byte = 0; byte < content.size(); ++byte) {
      char& damaged = disk->content(path)[byte];
      damaged = static_cast<char>(damaged ^ (1 << byte % 8));
      std::string notices;
      std::uint64_t const step = newest_step(*disk, &notices);
      INFO(path << ", byte " << byte);
      if (path.starts_with(third)) {
        REQUIRE(step == 2);
        REQUIRE_THAT(notices,
                     ContainsSubstring(path + ":") && ContainsSubstring("using '" + second + "', step 2"));
        ++found;
      } else {
        REQUIRE(step == 3);
        ++harmless;
        // Of older generations only the manifests are read, unless they are needed.
        if (path == "run/latest" || path.ends_with("manifest.json"))
          REQUIRE_THAT(notices, ContainsSubstring(path + ":"));
        else
          REQUIRE(notices == "");
      }
      damaged = content[byte];
    }
  }
  CHECK(found > 1000);
  CHECK(harmless > 2500);
  CHECK(test::clean_step("run", *disk) == 3);
}

TEST_CASE("row 43: any bit of every generation flipped, with a newest one to fall back from",
          "[io][generations]") {
  auto const disk = three_generations();
  disk->content(third + "/a.safetensors").back() ^= 1;
  for (char const* const file : {"/a.safetensors", "/b.safetensors", "/manifest.json"}) {
    std::string const path = second + file, content = disk->content(path);
    for (std::size_t byte = 0; byte < content.size(); ++byte) {
      disk->content(path)[byte] = static_cast<char>(content[byte] ^ (1 << (byte + 3) % 8));
      std::string notices;
      REQUIRE(newest_step(*disk, &notices) == 1);
      REQUIRE_THAT(notices,
                   ContainsSubstring(path + ":") && ContainsSubstring(third + "/a.safetensors: the tensor"));
      disk->content(path)[byte] = content[byte];
    }
  }
}

TEST_CASE("row 43: files cut off, missing, swapped or renamed are refused by name", "[io][generations]") {
  auto const disk = three_generations();
  std::string notices;
  auto const falls_back = [&](std::string const& message) {
    CHECK(newest_step(*disk, &notices) == 2);
    CHECK_THAT(notices, ContainsSubstring(message) && ContainsSubstring("using '" + second + "'"));
  };
  SECTION("a data file cut off") {
    disk->content(third + "/b.safetensors").pop_back();
    falls_back("b.safetensors: it has 287 bytes, 288 were written");
  }
  SECTION("a manifest cut off") {
    for (std::size_t const left : {0u, 1u, 20u, 500u}) {
      disk->content(third + "/manifest.json").resize(left);
      falls_back("\"hash\", does not match");
    }
  }
  SECTION("a data file missing") {
    (void)disk->remove_file((third + "/b.safetensors").c_str());
    falls_back("cannot open '" + third + "/b.safetensors': No such file");
  }
  SECTION("the manifest missing") {
    (void)disk->remove_file((third + "/manifest.json").c_str());
    falls_back("cannot open '" + third + "/manifest.json': No such file");
  }
  SECTION("the whole generation missing") {
    (void)disk->rename(third.c_str(), "run/elsewhere");
    falls_back("run/latest: it names step-000000003, which is missing");
  }
  SECTION("a data file of another step") {
    disk->copy(second + "/a.safetensors", third + "/a.safetensors");
    falls_back("a.safetensors: the tensor 'n' is not what was written");
  }
  SECTION("all files of another step") {
    disk->copy(second, third);
    falls_back("manifest.json: the field \"name\" is 'step-000000002', its folder is called step-000000003");
  }
  SECTION("a link in place of a file or a folder") {
    disk->make_link(third + "/a.safetensors");
    falls_back("a.safetensors': it is a symbolic link");
    disk->make_link(third);
    falls_back("'" + third + "': it is no folder");
  }
  SECTION("a folder in place of a file") {
    (void)disk->remove_file((third + "/a.safetensors").c_str());
    (void)disk->make_folder((third + "/a.safetensors").c_str());
    falls_back("a.safetensors': it is no regular file");
  }
  SECTION("a file that cannot be read") {
    disk->plan(test::Fault::none, 0);
    (void)newest_step(*disk);
    std::uint64_t const calls = disk->calls();
    for (std::uint64_t n = 1; n <= calls; ++n) {
      disk->plan(test::Fault::error, n);
      try {
        std::uint64_t const step = newest_step(*disk, &notices);
        CHECK((step == 3 || step == 2));
        if (step == 2) CHECK_THAT(notices, ContainsSubstring("nput/output error"));
      } catch (IoError const& error) {
        CHECK_THAT(error.what(), ContainsSubstring("cannot list 'run': Input/output error"));
      }
      disk->plan(test::Fault::error, n, EINTR);
      CHECK(newest_step(*disk, &notices) == 3);
      CHECK(notices == "");
    }
  }
}

TEST_CASE("row 43: newer versions, other formats and other runs are refused by the field",
          "[io][generations]") {
  auto const disk = three_generations();
  std::string const path = third + "/manifest.json";
  std::string notices;
  auto const refused = [&](std::string const& message) {
    CHECK(newest_step(*disk, &notices) == 2);
    CHECK_THAT(notices, ContainsSubstring(path + ": the field " + message));
  };
  SECTION("a newer version") {
    rewrite(*disk, path, "\"version\": 1", "\"version\": 2");
    refused("\"version\" is 2, this aeth reads up to 1; use the one that wrote it");
  }
  SECTION("another program's") {
    rewrite(*disk, path, "aeth generation", "something else");
    refused("\"format\" is 'something else'");
  }
  SECTION("fields missing or of another type") {
    rewrite(*disk, path, "\"sequence\": 3,\n", "\n");
    refused("\"sequence\" is missing");
    rewrite(*disk, path, "\"step\": 3", "\"step\": 3,\n\"sequence\": \"3\"");
    refused("\"sequence\" is a text, which does not belong there");
    rewrite(*disk, path, "\"sequence\": \"3\"", "\"sequence\": 3");
    CHECK(newest_step(*disk) == 3);
    rewrite(*disk, path, "\"step\": 3", "\"step\": 3, \"step\": 3");
    refused("\"step\" is there twice");
    rewrite(*disk, path, "\"step\": 3, \"step\": 3", "\"step\": 3");
    rewrite(*disk, path, "\"a.safetensors\"", "\"../a.safetensors\"");
    refused("\"name\" is '../a.safetensors'; a generation's files are in its folder");
    rewrite(*disk, path, "\"../a.safetensors\"", "\"b.safetensors\"");
    refused("\"name\" is 'b.safetensors' of two files");
  }
  SECTION("another step than its name") {
    rewrite(*disk, path, "\"step\": 3", "\"step\": 4");
    refused("\"step\" is 4");
  }
  SECTION("another run") {
    auto const other = three_generations();
    disk->content(path) = other->content(path);
    std::string const run = io::newest_generation("run", {}, *disk).manifest().run;
    refused("\"run\" is '" + io::newest_generation("run", {}, *other).manifest().run +
            "', that of this folder is '" + run + "'; it is of another run");
    // Without `latest` nothing tells which run is meant, so none is used.
    (void)disk->remove_file("run/latest");
    CHECK_THAT(test::message_of<IoError>([&] { (void)newest_step(*disk); }),
               ContainsSubstring("no checkpoint in 'run' can be used") &&
                   ContainsSubstring(second + "/manifest.json: the field \"run\"") &&
                   ContainsSubstring("move those of the other run away"));
    (void)disk->rename(third.c_str(), "run/elsewhere");
    CHECK(newest_step(*disk, &notices) == 2);
    CHECK_THAT(notices, ContainsSubstring("latest': No such file"));
  }
}

TEST_CASE("row 43: with no good generation the error names each and its reason", "[io][generations]") {
  auto const disk = three_generations();
  for (int step = 1; step <= 3; ++step)
    disk->content(text("run/step-00000000", step, "/a.safetensors")).back() ^= 1;
  CHECK_THAT(test::message_of<IoError>([&] { (void)newest_step(*disk); }),
             ContainsSubstring("no checkpoint in 'run' can be used; give another folder, or start without") &&
                 ContainsSubstring("run/step-000000001/a.safetensors: the tensor 'w'") &&
                 ContainsSubstring("run/step-000000002/a.safetensors: the tensor 'w'") &&
                 ContainsSubstring("run/step-000000003/a.safetensors: the tensor 'w'"));
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::newest_generation("none", {}, *disk); }),
             ContainsSubstring("cannot list 'none'"));
  (void)disk->make_folder("old");
  disk->copy("run/latest", "old/step-00000012.safetensors");
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::newest_generation("old", {}, *disk); }),
             ContainsSubstring("checkpoints of an earlier form, which this version does not read"));
}

TEST_CASE("one file of a generation is read without the others", "[io][generations]") {
  auto const disk = three_generations();
  (void)disk->remove_file((third + "/b.safetensors").c_str());
  auto const generation = io::newest_generation("run", "a.safetensors", *disk);
  CHECK(generation.step() == 3);
  CHECK(generation.notices().empty());
  CHECK(generation.metadata("a.safetensors").at("of") == "a");
  CHECK_THAT(test::message_of<IoError>([&] { (void)generation.tensors("b.safetensors"); }),
             ContainsSubstring(third + ": it has no file 'b.safetensors'"));
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::newest_generation("run", "c", *disk); }),
             ContainsSubstring(third + ": it has no file c"));
}

TEST_CASE("latest can be anything without harm", "[io][generations]") {
  auto const disk = three_generations();
  std::string const good = disk->content("run/latest");
  for (std::string const& content :
       {std::string(), std::string("step-000000003\n"), std::string(5000, 'x'), std::string(100, '\0'),
        good + " ", good + good, good.substr(0, good.size() - 1), "../" + good,
        io::detail::latest_text({"../step-000000003", "run"}), io::detail::latest_text({"step-3", "run"})}) {
    disk->content("run/latest") = content;
    std::string notices;
    CHECK(newest_step(*disk, &notices) == 3);
    CHECK_THAT(notices, ContainsSubstring("run/latest"));
  }
}

TEST_CASE("generations on a real disk: pipes and links do not stop or mislead a reader",
          "[io][generations]") {
  test::TemporaryFolder const folder;
  std::string const run = folder.path + "/new/run";
  {
    io::GenerationWriter writer(run + "//");
    for (std::uint64_t step = 1; step <= 3; ++step) {
      auto const done = writer.write(SavedState(step).content());
      CHECK(done.notices.empty());
      CHECK(done.path == text(run, "/step-00000000", step));
      CHECK(done.size ==
            io::file_size(done.path + "/a.safetensors") + io::file_size(done.path + "/b.safetensors"));
      CHECK(test::clean_step(run) == step);
    }
  }
  CHECK(!fs::exists(run + "/step-000000001"));
  std::string const newest = run + "/step-000000003";
  auto const falls_back = [&](std::string const& message) {
    auto const generation = io::newest_generation(run);
    CHECK(whole_step(generation) == 2);
    CHECK_THAT(test::lines_of(generation.notices()), ContainsSubstring(message));
  };
  fs::rename(newest + "/a.safetensors", folder.path + "/a");
  fs::create_symlink(folder.path + "/a", newest + "/a.safetensors");
  falls_back("it is a symbolic link");
  fs::remove(newest + "/a.safetensors");
  REQUIRE(::mkfifo((newest + "/a.safetensors").c_str(), 0600) == 0);
  falls_back("it is no regular file");
  fs::remove_all(newest);
  fs::create_directory_symlink(run + "/step-000000002", newest);
  falls_back("it is no folder");
  fs::remove(newest);
  REQUIRE(::mkfifo(newest.c_str(), 0600) == 0);
  falls_back("it is no folder");
}
