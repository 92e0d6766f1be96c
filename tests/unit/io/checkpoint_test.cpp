// Rows 41-43 of the fault table: failed writes, killed processes, damaged files.
#include "aeth/io/checkpoint.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "support/catch.hpp"
#include "support/file_size_limit.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

/// A training state whose every number says which step it is of.
struct State {
  std::vector<float> weights;
  std::vector<double> moments;
  std::vector<std::int64_t> counts;

  explicit State(std::uint64_t step, std::size_t size = 100)
      : weights(size, static_cast<float>(step)), moments(size, static_cast<double>(step)), counts{7, -1} {
    counts[0] = static_cast<std::int64_t>(step);
  }
  [[nodiscard]] std::vector<io::TensorEntry> entries() const {
    return {io::tensor_entry<float>("w", {weights.size()}, weights),
            io::tensor_entry<double>("m", {moments.size()}, moments),
            io::tensor_entry<std::int64_t>("n", {2}, counts)};
  }
};

std::string const first = "step-00000001.safetensors", second = "step-00000002.safetensors",
                  third = "step-00000003.safetensors";

/// A folder with the checkpoints of steps 1, 2 and 3, all kept.
struct Folder : test::TemporaryFolder {
  explicit Folder(std::size_t keep = 3, std::uint64_t steps = 3) {
    io::CheckpointWriter writer(path, keep);
    for (std::uint64_t step = 1; step <= steps; ++step) writer.write(step, State(step).entries());
  }
  [[nodiscard]] std::string at(std::string const& name) const { return path + "/" + name; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (auto const& entry : fs::directory_iterator(path)) all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }
};

void flip(std::string const& path, std::size_t byte, int bit = 0) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(byte));
  int const value = file.get();
  file.seekp(static_cast<std::streamoff>(byte));
  file.put(static_cast<char>(value ^ 1 << bit));
}

std::string all_of(std::vector<std::string> const& lines) {
  std::string out;
  for (std::string const& line : lines) out += line + "\n";
  return out;
}

/// The latest good step, having checked that all its numbers are of it.
std::uint64_t good_step(io::CheckpointReader const& reader) {
  auto const all_are = [](auto const& values, auto wanted) {
    return std::all_of(values.begin(), values.end(), [&](auto value) { return value == wanted; });
  };
  REQUIRE(all_are(io::values_of<float>(reader.at("w")), static_cast<float>(reader.step())));
  REQUIRE(all_are(io::values_of<double>(reader.at("m")), static_cast<double>(reader.step())));
  CHECK(io::values_of<std::int64_t>(reader.at("n")) ==
        std::vector<std::int64_t>{static_cast<std::int64_t>(reader.step()), -1});
  return reader.step();
}

}  // namespace

TEST_CASE("checkpoints come back with their notes, and the last two are kept", "[io][checkpoint]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/new/run";
  io::CheckpointWriter writer(path);
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::CheckpointReader::latest(path); }),
             ContainsSubstring("no checkpoint in '" + path + "'") && ContainsSubstring("start without"));
  for (std::uint64_t const step : {5u, 10u, 150'000'000u, 150'000'001u}) {
    auto const done = writer.write(step, State(step).entries(), {{"loss", "2.5"}});
    CHECK(done.notices.empty());
    CHECK(done.size == io::file_size(done.path));
    CHECK(done.hash == io::hash_file(done.path));
    CHECK(io::read_file(path + "/latest")
              .starts_with(text(fs::path(done.path).filename().string(), ' ', done.size, ' ',
                                io::hash_text(done.hash), '\n')));
    auto const reader = io::CheckpointReader::latest(path);
    CHECK(good_step(reader) == step);
    CHECK(reader.notices().empty());
    CHECK(reader.metadata().at("loss") == "2.5");
    CHECK(reader.tensors().size() == 3);
    CHECK(reader.tensors()[0].name == "m");
  }
  CHECK(fs::exists(path + "/step-150000000.safetensors"));
  CHECK(std::distance(fs::directory_iterator(path), fs::directory_iterator()) == 3);
  CHECK(good_step(io::CheckpointReader::open(path + "/step-150000000.safetensors")) == 150'000'000);
}

TEST_CASE("tensors of every width are kept, with a checksum that is not aligned", "[io][checkpoint]") {
  test::TemporaryFolder const folder;
  std::vector<std::uint8_t> const bytes{1, 2, 3};
  std::vector const entries{io::tensor_entry<std::uint8_t>("b", {3}, bytes),
                            io::tensor_entry<std::uint8_t>("none", {0}, {})};
  io::CheckpointWriter(folder.path).write(0, entries);
  auto const reader = io::CheckpointReader::latest(folder.path);
  CHECK(reader.step() == 0);
  CHECK(io::values_of<std::uint8_t>(reader.at("b")) == bytes);
  CHECK(reader.tensors().size() == 2);
}

TEST_CASE("row 43: a bit flipped anywhere is found, and the one before is used", "[io][checkpoint]") {
  Folder const folder;
  auto const size = static_cast<std::size_t>(io::file_size(folder.at(third)));
  for (std::size_t byte = 0; byte < size; byte += byte < 700 || byte + 20 > size ? 1 : 41) {
    flip(folder.at(third), byte, static_cast<int>(byte % 8));
    auto const reader = io::CheckpointReader::latest(folder.path);
    REQUIRE(good_step(reader) == 2);
    REQUIRE(reader.notices().size() == 2);
    REQUIRE_THAT(reader.notices()[0], ContainsSubstring(third));
    REQUIRE_THAT(reader.notices()[1], ContainsSubstring("using") && ContainsSubstring(second));
    flip(folder.at(third), byte, static_cast<int>(byte % 8));
  }
  CHECK(good_step(io::CheckpointReader::latest(folder.path)) == 3);
}

TEST_CASE("row 43: a bit flipped anywhere is found without latest, too", "[io][checkpoint]") {
  Folder const folder;
  fs::remove(folder.at("latest"));
  auto const size = static_cast<std::size_t>(io::file_size(folder.at(third)));
  for (std::size_t byte = 0; byte < size; byte += 17) {
    flip(folder.at(third), byte, static_cast<int>(byte % 8));
    REQUIRE(good_step(io::CheckpointReader::latest(folder.path)) == 2);
    flip(folder.at(third), byte, static_cast<int>(byte % 8));
  }
  auto const reader = io::CheckpointReader::latest(folder.path);
  CHECK(good_step(reader) == 3);
  CHECK_THAT(all_of(reader.notices()), ContainsSubstring("latest': No such file"));
}

TEST_CASE("row 43: files cut off, swapped, renamed or newer than the library", "[io][checkpoint]") {
  Folder const folder;
  auto const notices_with_step_2 = [&] {
    auto const reader = io::CheckpointReader::latest(folder.path);
    CHECK(good_step(reader) == 2);
    return all_of(reader.notices());
  };
  SECTION("cut off") {
    for (std::uintmax_t const size : {0u, 5u, 100u, 1000u}) {
      fs::resize_file(folder.at(third), size);
      CHECK_THAT(notices_with_step_2(), ContainsSubstring(folder.at(third)));
    }
  }
  SECTION("another run's file of that step") {
    test::TemporaryFolder const other;
    State state(3);
    state.weights[0] = 8;
    io::CheckpointWriter(other.path).write(3, state.entries());
    fs::copy_file(other.path + "/" + third, folder.at(third), fs::copy_options::overwrite_existing);
    CHECK_THAT(notices_with_step_2(), ContainsSubstring("copied from another run"));
  }
  SECTION("an older file under the name") {
    fs::copy_file(folder.at(first), folder.at(third), fs::copy_options::overwrite_existing);
    CHECK_THAT(notices_with_step_2(), ContainsSubstring("another file than was written here"));
    fs::remove(folder.at("latest"));
    CHECK_THAT(notices_with_step_2(), ContainsSubstring("it is of step 1; was it renamed?"));
  }
  SECTION("missing") {
    fs::remove(folder.at(third));
    CHECK_THAT(notices_with_step_2(), ContainsSubstring("No such file"));
  }
  SECTION("a link out of the folder") {
    test::TemporaryFolder const other;
    fs::rename(folder.at(third), other.path + "/file");
    fs::create_symlink(other.path + "/file", folder.at(third));
    CHECK_THAT(notices_with_step_2(), ContainsSubstring("symbolic link"));
  }
  SECTION("no checkpoint at all") {
    io::write_safetensors(folder.at(third), State(3).entries());
    CHECK_THAT(notices_with_step_2(), ContainsSubstring(folder.at(third)));
    fs::remove(folder.at("latest"));
    CHECK_THAT(notices_with_step_2(), ContainsSubstring("no checkpoint of aeth"));
  }
}

TEST_CASE("row 43: with no good file the error names each and its reason", "[io][checkpoint]") {
  Folder const folder;
  fs::resize_file(folder.at(first), 3);
  flip(folder.at(second), 1500);
  fs::remove(folder.at(third));
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::CheckpointReader::latest(folder.path); }),
             ContainsSubstring("no checkpoint in '" + folder.path + "'") &&
                 ContainsSubstring(folder.at(first) + ": too short") &&
                 ContainsSubstring(folder.at(second) + ": its bytes are not those that were written") &&
                 ContainsSubstring(third + "': No such file"));
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::CheckpointReader::latest(folder.path + "/none"); }),
             ContainsSubstring("cannot list") && ContainsSubstring("/none"));
}

TEST_CASE("latest cannot lead out of the folder", "[io][checkpoint]") {
  Folder const folder;
  std::string const outside = folder.path + "-outside.safetensors";
  fs::copy_file(folder.at(third), outside, fs::copy_options::overwrite_existing);
  for (std::string const& name : std::vector<std::string>{
           "../" + fs::path(outside).filename().string(), "../../x", "/etc/passwd", "step-1.safetensors",
           "step-00000003.safetensors/../x", "step-000000003.safetensors", "step-+0000003.safetensors", ".",
           "", "step-.safetensors", "step-99999999999999999999999.safetensors"}) {
    io::write_file_atomic(folder.at("latest"), name + " 100 0000000000000000\n");
    auto const reader = io::CheckpointReader::latest(folder.path);
    CHECK(good_step(reader) == 3);
    CHECK_THAT(all_of(reader.notices()),
               ContainsSubstring("latest, line 1: '" + name + "' is not the name of a checkpoint"));
  }
  fs::remove(outside);
  for (std::string const& line : std::vector<std::string>{
           third, third + " ", third + " 5", third + " x 0123456789abcdef", third + " 5 0123456789abcdeg",
           third + " -5 0123456789abcdef", third + " 5 12"}) {
    io::write_file_atomic(folder.at("latest"), line);
    auto const reader = io::CheckpointReader::latest(folder.path);
    CHECK(good_step(reader) == 3);
    CHECK_THAT(all_of(reader.notices()), ContainsSubstring("no size and hash"));
  }
  for (std::string const& content : {std::string(), std::string(100'000, 'x'), std::string(1000, '\0')}) {
    io::write_file_atomic(folder.at("latest"), content);
    CHECK(good_step(io::CheckpointReader::latest(folder.path)) == 3);
  }
}

TEST_CASE("older checkpoints are removed, strangers' files and later steps are not", "[io][checkpoint]") {
  Folder const folder(2, 3);
  CHECK(folder.names() == std::vector<std::string>{"latest", second, third});
  for (char const* const name : {"notes.txt", "step-7.safetensors", "model.safetensors"})
    io::write_file_atomic(folder.at(name), "mine");
  io::CheckpointWriter writer(folder.path, 2);
  writer.write(2, State(2).entries());  // training went back and takes another way
  CHECK(good_step(io::CheckpointReader::latest(folder.path)) == 2);
  CHECK(fs::exists(folder.at(third)));
  writer.write(4, State(4).entries());
  CHECK(good_step(io::CheckpointReader::latest(folder.path)) == 4);
  CHECK(folder.names() == std::vector<std::string>{"latest", "model.safetensors", "notes.txt", second,
                                                   "step-00000004.safetensors", "step-7.safetensors"});
  fs::remove(folder.at("latest"));  // what remains is kept although nothing records it
  writer.write(5, State(5).entries());
  CHECK(fs::exists(folder.at("step-00000004.safetensors")));
  CHECK(!fs::exists(folder.at(second)));
}

TEST_CASE("row 41: a full disk keeps the previous checkpoint", "[io][checkpoint]") {
  Folder const folder(2, 2);
  auto const before = folder.names();
  State const large(9, 100'000);
  io::CheckpointWriter writer(folder.path);
  for (::rlim_t const limit : {0u, 1u, 500u, 100'000u, 1'000'000u, 1'200'300u}) {
    test::FileSizeLimit const full(limit);
    CHECK_THAT(test::message_of<IoError>([&] { writer.write(9, large.entries()); }),
               ContainsSubstring("step-00000009.safetensors") && ContainsSubstring("choose another folder"));
    CHECK(folder.names() == before);
    auto const reader = io::CheckpointReader::latest(folder.path);
    CHECK(good_step(reader) == 2);
    CHECK(reader.notices().empty());
  }
  writer.write(9, large.entries());
  CHECK(good_step(io::CheckpointReader::latest(folder.path)) == 9);
}

TEST_CASE("a step that is written again is the old or the new one at any moment", "[io][checkpoint]") {
  Folder const folder(2, 2);
  State again(2, 5000);
  io::CheckpointWriter writer(folder.path);
  {
    test::FileSizeLimit const full(1000);
    CHECK_THAT(test::message_of<IoError>([&] { writer.write(2, again.entries()); }),
               ContainsSubstring(second));
  }
  auto const old = io::CheckpointReader::latest(folder.path);
  CHECK(old.at("w").shape == io::TensorShape{100});
  CHECK(old.notices().empty());

  // What a crash around the renaming leaves: both records, and either file.
  std::string const record = io::read_file(folder.at("latest"));
  fs::copy_file(folder.at(second), folder.at("old"));
  auto const done = writer.write(2, again.entries());
  io::write_file_atomic(folder.at("latest"),
                        text(second, ' ', done.size, ' ', io::hash_text(done.hash), '\n', record));
  auto const after = io::CheckpointReader::latest(folder.path);
  CHECK(after.at("w").shape == io::TensorShape{5000});
  CHECK(after.notices().empty());
  fs::rename(folder.at("old"), folder.at(second));
  auto const before = io::CheckpointReader::latest(folder.path);
  CHECK(before.at("w").shape == io::TensorShape{100});
  CHECK(before.notices().empty());
}

TEST_CASE("row 41: folders that cannot be written", "[io][checkpoint]") {
  test::TemporaryFolder const folder;
  io::write_file_atomic(folder.path + "/file", "x");
  CHECK_THAT(test::message_of<IoError>([&] { io::CheckpointWriter(folder.path + "/file"); }),
             ContainsSubstring("cannot create the folder"));
  CHECK_THAT(test::message_of<IoError>([&] { io::CheckpointWriter("/proc/aeth"); }),
             ContainsSubstring("cannot create the folder '/proc/aeth'"));
  CHECK_THAT(test::message_of<UsageError>([&] { io::CheckpointWriter(folder.path, 0); }),
             ContainsSubstring("keep"));
  io::CheckpointWriter writer(folder.path + "/run");
  writer.write(1, State(1).entries());
  CHECK_THAT(test::message_of<UsageError>([&] {
               writer.write(2, State(2).entries(), {{"aeth.step", "2"}});
             }),
             ContainsSubstring("leave them out"));
  if (::geteuid() == 0) return;  // permissions do not bind root
  fs::permissions(folder.path + "/run", fs::perms::owner_read | fs::perms::owner_exec);
  CHECK_THAT(test::message_of<IoError>([&] { writer.write(2, State(2).entries()); }),
             ContainsSubstring("step-00000002") && ContainsSubstring("permissions"));
  CHECK(good_step(io::CheckpointReader::latest(folder.path + "/run")) == 1);
  fs::permissions(folder.path + "/run", fs::perms::owner_all);
}

TEST_CASE("row 42: a writer killed at any moment leaves a whole checkpoint", "[io][checkpoint]") {
  Folder const folder(2, 1);
  std::uint64_t reached = 1;
  for (int round = 0; round < 20; ++round) {
    ::pid_t const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        io::CheckpointWriter writer(folder.path);
        for (std::uint64_t step = reached + 1;; ++step) writer.write(step, State(step, 20'000).entries());
      } catch (...) {
        ::_exit(1);
      }
    }
    ::usleep(static_cast<::useconds_t>(1500 * (round + 1)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    auto const reader = io::CheckpointReader::latest(folder.path);
    std::uint64_t const step = good_step(reader);
    CHECK(step >= reached);
    CHECK(reader.notices().empty());
    reached = step;
  }
  CHECK(reached > 1);
  io::CheckpointWriter(folder.path, 2).write(reached + 2, State(reached + 2).entries());
  CHECK(folder.names().size() <= 3);  // nothing half-written is left
}
