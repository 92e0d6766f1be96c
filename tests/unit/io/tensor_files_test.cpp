#include "aeth/io/tensor_files.hpp"

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "aeth/io/safetensors_writer.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using namespace aeth::io;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A folder with two shards, a and b, of two tensors each.
struct Checkpoint {
  test::TemporaryFolder folder;
  std::vector<float> values{1, 2, 3, 4, 5, 6};

  Checkpoint() {
    write("one.safetensors", {"a", "b"});
    write("two.safetensors", {"c", "d"});
    index({{"a", "one.safetensors"},
           {"b", "one.safetensors"},
           {"c", "two.safetensors"},
           {"d", "two.safetensors"}});
  }
  void write(std::string const& file, std::vector<std::string> const& names) const {
    std::vector<TensorEntry> tensors;
    for (std::string const& name : names) tensors.push_back(tensor_entry<float>(name, {2, 3}, values));
    write_safetensors(path(file), tensors);
  }
  void index(Json const& map) const {
    write_file_atomic(path("model.safetensors.index.json"), Json{{"weight_map", map}}.dump());
  }
  [[nodiscard]] std::string path(std::string const& file) const { return folder.path + '/' + file; }
  [[nodiscard]] std::string refusal() const {
    return test::message_of<IoError>([&] { TensorFiles const files(folder.path); });
  }
};

}  // namespace

TEST_CASE("shards are one list of tensors, read piece by piece", "[io][tensor_files]") {
  Checkpoint const checkpoint;
  TensorFiles moved(checkpoint.folder.path);
  TensorFiles const files = std::move(moved);
  REQUIRE(files.tensors().size() == 4);
  CHECK(files.files().size() == 2);
  StoredTensor const* const c = files.find("c");
  REQUIRE(c != nullptr);
  CHECK(c->shape == TensorShape{2, 3});
  CHECK(files.path_of(*c) == checkpoint.path("two.safetensors"));
  CHECK(files.find("e") == nullptr);
  std::array<float, 2> part{};
  files.read(*c, 8, std::as_writable_bytes(std::span(part)));
  CHECK(part == std::array<float, 2>{3, 4});
  CHECK_THROWS_AS(files.read(*c, 20, std::as_writable_bytes(std::span(part))), ShapeError);
}

TEST_CASE("row 12: index and shards must agree", "[io][tensor_files]") {
  Checkpoint checkpoint;
  checkpoint.index({{"a", "one.safetensors"}, {"b", "one.safetensors"}, {"c", "two.safetensors"}});
  CHECK_THAT(checkpoint.refusal(), ContainsSubstring("tensor 'd' is not listed there"));
  checkpoint.index({{"a", "one.safetensors"}, {"b", "one.safetensors"}, {"x", "one.safetensors"}});
  CHECK_THAT(checkpoint.refusal(), ContainsSubstring("tensor 'x' is missing"));
  checkpoint.index({{"a", "three.safetensors"}});
  CHECK_THAT(checkpoint.refusal(), ContainsSubstring("three.safetensors"));
  checkpoint.write("two.safetensors", {"a", "c"});
  checkpoint.index({{"a", "one.safetensors"}, {"b", "one.safetensors"}, {"c", "two.safetensors"}});
  CHECK_THAT(checkpoint.refusal(), ContainsSubstring("tensor 'a' is"));
  for (char const* content : {"", "[]", "{}", "{\"weight_map\":{}}", "{\"weight_map\":{\"a\":1}}",
                              "{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}"}) {
    write_file_atomic(checkpoint.path("model.safetensors.index.json"), content);
    CHECK_FALSE(checkpoint.refusal().empty());
  }
}

TEST_CASE("row 12: no shard is opened outside the folder", "[io][tensor_files]") {
  Checkpoint checkpoint;
  for (char const* name :
       {"../one.safetensors", "/etc/passwd", "..", ".", "", "a/../one.safetensors", "a\\b"}) {
    checkpoint.index({{"a", name}});
    CHECK_THAT(checkpoint.refusal(), ContainsSubstring("a shard must be a file of the same folder"));
  }
  test::TemporaryFolder const elsewhere;
  std::filesystem::rename(checkpoint.path("one.safetensors"), elsewhere.path + "/one.safetensors");
  std::filesystem::create_symlink(elsewhere.path + "/one.safetensors", checkpoint.path("one.safetensors"));
  checkpoint.index({{"a", "one.safetensors"}, {"b", "one.safetensors"}});
  CHECK_THAT(checkpoint.refusal(), ContainsSubstring("is a link out of its folder"));
}

TEST_CASE("folders of links into a cache's blobs are read", "[io][tensor_files]") {
  test::TemporaryFolder const cache;
  std::filesystem::create_directories(cache.path + "/snapshots/main");
  std::filesystem::create_directories(cache.path + "/blobs");
  std::vector<float> const values{1, 2};
  write_safetensors(cache.path + "/blobs/0123", std::vector{tensor_entry<float>("a", {2}, values)});
  std::filesystem::create_symlink("../../blobs/0123", cache.path + "/snapshots/main/m.safetensors");
  write_file_atomic(cache.path + "/snapshots/main/model.safetensors.index.json",
                    R"({"weight_map":{"a":"m.safetensors"}})");
  CHECK(TensorFiles(cache.path + "/snapshots/main").tensors().size() == 1);
}

TEST_CASE("a shard that is shortened while it is read is an error", "[io][tensor_files]") {
  Checkpoint const checkpoint;
  TensorFiles const files(checkpoint.folder.path);
  std::filesystem::resize_file(checkpoint.path("two.safetensors"), 100);
  std::array<float, 6> part{};
  CHECK_THAT(test::message_of<IoError>(
                 [&] { files.read(*files.find("d"), 0, std::as_writable_bytes(std::span(part))); }),
             ContainsSubstring("it ends at byte"));
}

TEST_CASE("a folder without weights says what it looks for", "[io][tensor_files]") {
  test::TemporaryFolder const folder;
  CHECK_THAT(test::message_of<IoError>([&] { TensorFiles const files(folder.path); }),
             ContainsSubstring("neither model.safetensors.index.json nor model.safetensors"));
}

TEST_CASE("a file written in parts must be filled exactly", "[io][safetensors_writer]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/x.safetensors";
  std::vector<TensorEntry> const tensors{{"a", DType::bf16, {3}, {}}, {"b", DType::f32, {1}, {}}};
  std::array<std::byte, 10> const bytes{};
  {
    SafetensorsWriter file(path, tensors);
    CHECK(file.order().front()->name == "b");
    file.write(std::span(bytes).first(9));
    CHECK_THROWS_AS(file.commit(), ShapeError);
    CHECK_THROWS_AS(file.write(bytes), ShapeError);
    CHECK_FALSE(std::filesystem::exists(path));
    file.write(std::span(bytes).first(1));
    file.commit();
  }
  CHECK(TensorFiles(path).tensors().size() == 2);
}
