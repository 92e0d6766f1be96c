// Rows of the fault table are numbered as in the comments: 13-17.
#include "aeth/io/gguf.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "aeth/io/gguf_writer.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using Fault = io::GgufFault;

namespace {

/// Bytes of a file, put together piece by piece; lengths may lie.
struct Bytes {
  std::string out;

  template <class T>
  Bytes& number(T value) {
    out.append(reinterpret_cast<char const*>(&value), sizeof value);
    return *this;
  }
  Bytes& u32(std::uint32_t value) { return number(value); }
  Bytes& u64(std::uint64_t value) { return number(value); }
  Bytes& string(std::string const& value) {
    u64(value.size());
    out += value;
    return *this;
  }
  Bytes& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    out += "GGUF";
    return u32(version).u64(tensors).u64(keys);
  }
  /// A key with a 32-bit number.
  Bytes& key(std::string const& name, std::uint32_t value = 1) { return string(name).u32(4).u32(value); }
  Bytes& tensor(std::string const& name, std::vector<std::uint64_t> const& extents, std::uint32_t type,
                std::uint64_t offset) {
    string(name).u32(static_cast<std::uint32_t>(extents.size()));
    for (std::uint64_t const extent : extents) u64(extent);
    return u32(type).u64(offset);
  }
  Bytes& pad(std::size_t alignment = 32) {
    out.resize(round_up(out.size(), alignment));
    return *this;
  }
  /// Padding and that many bytes of data.
  Bytes& data(std::size_t count, std::size_t alignment = 32) {
    pad(alignment).out.append(count, '\1');
    return *this;
  }
};

std::span<std::byte const> as_bytes(std::string const& content) {
  return std::as_bytes(std::span(content.data(), content.size()));
}

void check_refused(Bytes const& file, Fault fault, std::vector<std::string> const& parts) {
  INFO(file.out.substr(0, 200));
  try {
    (void)io::GgufView(as_bytes(file.out), "model.gguf");
    FAIL("accepted");
  } catch (io::GgufError const& error) {
    CHECK(name_of(error.fault) == name_of(fault));
    CHECK_THAT(error.what(), ContainsSubstring("model.gguf: " + std::string(name_of(fault))) &&
                                 ContainsSubstring("copy or write it again"));
    for (std::string const& part : parts) CHECK_THAT(error.what(), ContainsSubstring(part));
  }
}

/// One tensor `t` and its data.
Bytes one(std::vector<std::uint64_t> const& extents, std::uint32_t type, std::size_t data,
          std::uint64_t offset = 0) {
  return Bytes().header(1, 0).tensor("t", extents, type, offset).data(data);
}

constexpr std::uint32_t f32 = 0, q8_0 = 8, q4_k = 12, i8 = 24;
constexpr std::uint64_t most = ~std::uint64_t{0};

/// What a writer makes, in memory.
std::string written(std::vector<io::GgufOutput> const& tensors, io::GgufMetadata const& metadata) {
  std::string out;
  io::detail::write_gguf_to([&](std::string_view bytes) { out += bytes; }, tensors, metadata);
  return out;
}

io::GgufOutput output(std::string name, io::GgmlType type, io::TensorShape shape, std::string const& bytes) {
  return {std::move(name), type, std::move(shape),
          [bytes](io::ByteSink const& sink) { sink(as_bytes(bytes)); }};
}

}  // namespace

TEST_CASE("row 13: magic, version and counts", "[io][gguf]") {
  for (std::uint32_t const version : {2u, 3u}) {
    auto const file = Bytes().header(0, 0, version);
    io::GgufView const view(as_bytes(file.out), "model.gguf");
    CHECK(view.tensors().empty());
    CHECK(view.version() == version);
  }
  check_refused(Bytes(), Fault::truncated, {"the magic at byte 0 needs 4 bytes"});
  check_refused(Bytes{"GGU"}, Fault::truncated, {"only 3 follow"});
  check_refused(Bytes{"GGML\3\0\0\0"}, Fault::bad_magic, {"is this a GGUF file?"});
  check_refused(Bytes{"PK\3\4 this is a zip archive"}, Fault::bad_magic, {});
  check_refused(Bytes{"GGUF\3\0"}, Fault::truncated, {"the version at byte 4"});
  check_refused(Bytes().header(0, 0, 0), Fault::bad_version, {"version 0"});
  check_refused(Bytes().header(0, 0, 1), Fault::bad_version, {"version 1", "only 2 and 3"});
  check_refused(Bytes().header(0, 0, 4), Fault::bad_version, {"version 4"});
  check_refused(Bytes().header(0, 0, 0x03000000), Fault::bad_version, {"big-endian"});
  check_refused(Bytes{"GGUF"}.u32(3).u64(1), Fault::truncated, {"the count of keys"});
  for (std::uint64_t const count : {std::uint64_t{1} << 63, most, std::uint64_t{1'000'001}}) {
    check_refused(Bytes().header(count, 0), Fault::over_limit, {"tensors", std::to_string(count)});
    check_refused(Bytes().header(0, count), Fault::over_limit, {"keys", std::to_string(count)});
  }
  check_refused(Bytes().header(1'000'000, 0).data(100), Fault::over_limit, {"1000000 of them", "33 bytes"});
  check_refused(Bytes().header(0, 100'000).data(100), Fault::over_limit, {"100000 of them", "14 bytes"});
}

TEST_CASE("row 14: keys and values", "[io][gguf]") {
  check_refused(Bytes().header(0, 1).u64(std::uint64_t{1} << 63).data(20), Fault::truncated,
                {"a key at byte 32", "9223372036854775808"});
  check_refused(Bytes().header(0, 1).u64(most).data(20), Fault::truncated, {"a key at byte 32"});
  check_refused(Bytes().header(0, 1).key(""), Fault::bad_key, {"key 0 at byte 24 is empty"});
  check_refused(Bytes().header(0, 1).key(std::string(65'536, 'k')), Fault::over_limit, {"65536 bytes"});
  check_refused(Bytes().header(0, 2).key("a.b").key("a.b", 2), Fault::duplicate, {"key 'a.b' at byte 43"});
  for (std::uint32_t const type : {13u, 99u, ~0u})
    check_refused(Bytes().header(0, 1).string("k").u32(type).u64(0), Fault::bad_value,
                  {"'k' has type " + std::to_string(type), "byte 33"});
  check_refused(Bytes().header(0, 1).string("k").u32(7).number('\2'), Fault::bad_value,
                {"'k' at byte 37 is 2", "0 or 1"});
  check_refused(Bytes().header(0, 1).string("k").u32(4).number('\2'), Fault::truncated, {"'k'"});
  check_refused(Bytes().header(0, 1).string("k").u32(8).u64(5).number('x'), Fault::truncated, {"'k'"});
  auto const array = [](std::uint32_t type, std::uint64_t count) {
    return Bytes().header(0, 1).string("k").u32(9).u32(type).u64(count);
  };
  check_refused(array(9, 1).u32(4).u64(0), Fault::bad_value, {"'k' is an array of type 9", "byte 37"});
  check_refused(array(13, 0), Fault::bad_value, {"array of type 13"});
  check_refused(array(4, most).u64(0), Fault::over_limit, {"'k'", "at least 4 bytes each", "only 8 follow"});
  check_refused(array(8, 3).u64(0).u64(0), Fault::over_limit, {"at least 8 bytes each"});
  check_refused(array(7, 2).number('\1').number('\3'), Fault::bad_value, {"is 3"});
  check_refused(array(8, 1).u64(1), Fault::truncated, {"'k'"});
}

TEST_CASE("row 15: the alignment", "[io][gguf]") {
  auto const aligned = [](std::uint32_t alignment) {
    return Bytes().header(0, 1).key("general.alignment", alignment);
  };
  for (std::uint32_t const good : {8u, 16u, 64u, 4096u, 1u << 31})
    CHECK(io::GgufView(as_bytes(aligned(good).out), "model.gguf").alignment() == good);
  for (std::uint32_t const bad : {0u, 1u, 4u, 12u, 48u, ~0u})
    check_refused(aligned(bad), Fault::bad_alignment, {"general.alignment is " + std::to_string(bad)});
  check_refused(Bytes().header(0, 1).string("general.alignment").u32(10).u64(32), Fault::bad_alignment,
                {"not a 32-bit number"});
  check_refused(Bytes().header(0, 1).string("general.alignment").u32(8).string("32"), Fault::bad_alignment,
                {});
  // Offsets and data that follow another alignment than the one that is given.
  auto const two = [](std::uint32_t alignment, std::uint64_t second) {
    return Bytes()
        .header(2, 1)
        .key("general.alignment", alignment)
        .tensor("a", {1}, f32, 0)
        .tensor("b", {1}, f32, second);
  };
  CHECK(io::GgufView(as_bytes(two(64, 64).data(68, 64).out), "").tensors().size() == 2);
  check_refused(two(64, 32).data(68, 64), Fault::bad_offset, {"'b'", "no multiple of the alignment 64"});
  check_refused(two(8, 32).data(68, 8), Fault::bad_offset, {"'b' begins at byte 32", "not at 8"});
}

TEST_CASE("row 16: shapes", "[io][gguf]") {
  CHECK(io::GgufView(as_bytes(one({2, 3, 1, 1}, f32, 24).out), "").tensors()[0].shape ==
        io::TensorShape{1, 1, 3, 2});
  check_refused(one({}, f32, 4), Fault::bad_shape, {"tensor 't' has 0 extents", "1 to 4"});
  check_refused(one({1, 1, 1, 1, 1}, f32, 4), Fault::bad_shape, {"has 5 extents at byte 33"});
  check_refused(Bytes().header(1, 0).string("t").u32(~0u).data(40), Fault::bad_shape, {"4294967295 extents"});
  check_refused(one({4, 0}, f32, 0), Fault::bad_shape, {"an extent of 0 at byte 45"});
  check_refused(one({most}, i8, 0), Fault::bad_shape, {"18446744073709551615", "2^63 - 1"});
  check_refused(one({std::uint64_t{1} << 63}, i8, 0), Fault::bad_shape, {"2^63 - 1"});
  std::uint64_t const largest = most / 2;
  check_refused(one({largest, 2}, f32, 0), Fault::overflow, {"[2, 9223372036854775807]", "64 bits"});
  check_refused(one({largest, 2}, i8, 2), Fault::truncated, {"18446744073709551614 bytes"});
  check_refused(one({largest, 4}, i8, 2), Fault::overflow, {});
  check_refused(one({std::uint64_t{1} << 62, 1}, f32, 0), Fault::overflow, {});
  check_refused(one({std::uint64_t{1} << 40, 1 << 24}, q8_0, 0), Fault::overflow, {"64 bits"});
  check_refused(one({33}, q8_0, 34), Fault::bad_shape, {"[33]", "no whole Q8_0 blocks of 32"});
  check_refused(one({128, 2}, q4_k, 144), Fault::bad_shape, {"[2, 128]", "Q4_K blocks of 256"});
}

TEST_CASE("row 17: types, places and names of tensors", "[io][gguf]") {
  for (std::uint32_t const type : {4u, 5u, 31u, 33u, 38u, 43u, 1000u, ~0u})
    check_refused(one({32}, type, 128), Fault::unknown_type, {"tensor 't'", "byte 45"});
  check_refused(one({1}, f32, 40, 4), Fault::bad_offset, {"'t' begins at byte 4", "alignment 32"});
  check_refused(one({1}, f32, 40, 32), Fault::bad_offset, {"not at 0"});
  check_refused(one({1}, f32, 4, most - 31), Fault::bad_offset, {"18446744073709551584"});
  check_refused(one({2}, f32, 7), Fault::truncated, {"F32 [2]", "takes 8 bytes", "has 7 bytes"});
  check_refused(Bytes().header(1, 0).tensor("t", {2}, f32, 0), Fault::truncated, {"must begin at byte 64"});
  check_refused(one({2}, f32, 33), Fault::bad_offset, {"ends at byte 8", "33 bytes"});
  CHECK(io::GgufView(as_bytes(one({2}, f32, 32).out), "").tensors().size() == 1);
  check_refused(Bytes().header(2, 0).tensor("t", {1}, f32, 0).tensor("t", {1}, f32, 32).data(64),
                Fault::duplicate, {"tensor 't' is in the header twice"});
  check_refused(Bytes().header(2, 0).tensor("a", {9}, f32, 0).tensor("b", {9}, f32, 32).data(100),
                Fault::bad_offset, {"'b' begins at byte 32", "not at 64"});
  check_refused(Bytes().header(2, 0).tensor("a", {1}, f32, 32).tensor("b", {1}, f32, 0).data(64),
                Fault::bad_offset, {"'a'"});
  check_refused(Bytes().header(1, 0).tensor("", {1}, f32, 0).data(4), Fault::over_limit, {"0 bytes"});
  check_refused(Bytes().header(1, 0).tensor(std::string(64, 'n'), {1}, f32, 0).data(4), Fault::over_limit,
                {"64 bytes", "1 to 63"});
}

TEST_CASE("every type of value survives writing and reading", "[io][gguf]") {
  using S = std::string;
  io::GgufMetadata const metadata{
      {"u8", std::uint8_t{200}},
      {"i8", std::int8_t{-5}},
      {"u16", std::uint16_t{60000}},
      {"i16", std::int16_t{-30000}},
      {"u32", ~std::uint32_t{0}},
      {"i32", std::int32_t{-7}},
      {"f32", 1.5F},
      {"yes", true},
      {"text", S("\0 \xFF<｜User｜>", 16)},
      {"u64", most},
      {"i64", std::int64_t{-9}},
      {"f64", 0.1},
      {"empty", std::vector<std::uint64_t>{}},
      {"no texts", std::vector<S>{}},
      {"texts", std::vector<S>{"a", "", "b c"}},
      {"truths", std::vector<bool>{true, false, true}},
      {"numbers", std::vector<std::int32_t>{1, -1}},
      {"bytes", std::vector<std::uint8_t>{1, 2, 3}},
      {"halves", std::vector<double>{0.5, -0.5}},
  };
  std::string const file = written({}, metadata);
  io::GgufView const view(as_bytes(file), "again");
  CHECK(view.metadata() == metadata);
  CHECK(*io::find_value<float>(view.metadata(), "f32") == 1.5F);
  CHECK(io::find_value<double>(view.metadata(), "f32") == nullptr);
  CHECK(io::find_value<float>(view.metadata(), "none") == nullptr);
  CHECK(io::whole_number(metadata.at("u8")) == 200);
  CHECK(io::whole_number(metadata.at("u64")) == most);
  CHECK(io::whole_number(std::int64_t{9}) == 9);
  for (char const* const other : {"i8", "f32", "yes", "text", "numbers"})
    CHECK(!io::whole_number(metadata.at(other)));
}

TEST_CASE("tensors are written in order, aligned, and read back", "[io][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  for (std::uint32_t const alignment : {8u, 32u, 256u}) {
    std::vector<io::GgufOutput> tensors{output("w", io::GgmlType::f32, {2, 3}, std::string(24, 'w')),
                                        output("q", io::GgmlType::q8_0, {1, 2, 32}, std::string(68, 'q')),
                                        output("i", io::GgmlType::i8, {5}, "abcde")};
    io::GgufMetadata const metadata{{"general.alignment", alignment}, {"k", true}};
    io::write_gguf(path, tensors, metadata);
    std::string const content = io::read_file(path);
    io::GgufFile const on_disk(path);
    io::GgufView const file(as_bytes(content), path);
    CHECK(file.metadata() == metadata);
    CHECK(on_disk.metadata() == metadata);
    REQUIRE(file.tensors().size() == 3);
    CHECK(file.tensors()[1].name == "q");
    CHECK(on_disk.at("q").shape == io::TensorShape{1, 2, 32});
    CHECK(on_disk.at("i").size == 5);
    CHECK(content.size() % alignment == 0);
    for (io::GgufPlace const& t : on_disk.tensors()) {
      CHECK(t.offset % alignment == 0);
      CHECK(file.find(t.name)->bytes.data() == as_bytes(content).data() + t.offset);
      CHECK(file.find(t.name)->bytes.size() == t.size);
    }
    std::vector<io::GgufOutput> again;
    for (io::GgufTensor const& t : file.tensors()) again.push_back(io::gguf_output(t));
    CHECK(written(again, file.metadata()) == content);
    CHECK_THAT(test::message_of<IoError>([&] { (void)on_disk.at("v"); }), ContainsSubstring("no tensor 'v'"));
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("what cannot be written is refused and leaves the old file", "[io][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  io::write_gguf(path, {}, {{"old", true}});
  std::string const old = io::read_file(path);
  auto const check = [&](auto error, io::GgufOutput const& tensor, io::GgufMetadata const& metadata,
                         std::string const& part) {
    std::vector<io::GgufOutput> const tensors{output("same", io::GgmlType::i8, {1}, "x"), tensor};
    CHECK_THAT(test::message_of<decltype(error)>([&] { io::write_gguf(path, tensors, metadata); }),
               ContainsSubstring(part));
    CHECK(io::read_file(path) == old);
    CHECK(folder.entries() == 1);
  };
  auto const i8_tensor = [](std::string name, io::TensorShape shape) {
    return output(std::move(name), io::GgmlType::i8, std::move(shape), "x");
  };
  check(UsageError(""), i8_tensor("same", {1}), {}, "'same' is given twice");
  check(UsageError(""), i8_tensor("", {1}), {}, "1 to 63");
  check(UsageError(""), i8_tensor(std::string(64, 'n'), {1}), {}, "64 bytes");
  check(ShapeError(""), i8_tensor("t", {}), {}, "'t' cannot be I8 []");
  check(ShapeError(""), i8_tensor("t", {1, 0}), {}, "[1, 0]");
  check(ShapeError(""), i8_tensor("t", {1, 1, 1, 1, 1}), {}, "1 to 4");
  check(ShapeError(""), i8_tensor("t", {2}), {}, "takes 2 bytes; 1 were produced");
  check(ShapeError(""), output("t", io::GgmlType::i8, {1}, "xyz"), {}, "3 were produced");
  check(ShapeError(""), output("t", io::GgmlType::q8_0, {33}, "x"), {}, "a multiple of 32");
  check(UsageError(""), i8_tensor("t", {1}), {{"", true}}, "the key ''");
  check(UsageError(""), i8_tensor("t", {1}), {{"general.alignment", std::uint32_t{3}}}, "power of two");
  check(UsageError(""), i8_tensor("t", {1}), {{"general.alignment", std::uint64_t{32}}}, "32-bit");
  io::GgufOutput failing = i8_tensor("t", {1});
  failing.produce = [](io::ByteSink const&) { throw NumericError("not finite"); };
  check(NumericError(""), failing, {}, "not finite");
}

TEST_CASE("numbers of the types that are read", "[io][gguf]") {
  auto const values = [](io::GgmlType type, std::string const& bytes, std::uint64_t count) {
    return io::values_of<float>(io::GgufTensor{"t", type, {count}, as_bytes(bytes)});
  };
  auto const raw = [](auto const& array) {
    return std::string(reinterpret_cast<char const*>(&array), sizeof array);
  };
  std::vector<float> const expected{1.0F, -0.5F};
  CHECK(values(io::GgmlType::f32, raw(std::array{1.0F, -0.5F}), 2) == expected);
  CHECK(values(io::GgmlType::f64, raw(std::array{1.0, -0.5}), 2) == expected);
  CHECK(values(io::GgmlType::f16, raw(std::array{to_f16(1.0F), to_f16(-0.5F)}), 2) == expected);
  CHECK(values(io::GgmlType::bf16, raw(std::array{bf16(1.0F), bf16(-0.5F)}), 2) == expected);
  std::vector<float> line(96);
  for (std::size_t i = 0; i < line.size(); ++i) line[i] = static_cast<float>(i) - 40.0F;
  std::string blocks;
  for (int b = 0; b < 3; ++b) blocks += raw(encode_q8_0(line.data() + 32 * b));
  io::GgufTensor const q{"q", io::GgmlType::q8_0, {96}, as_bytes(blocks)};
  auto const all = io::values_of<double>(q);
  REQUIRE(all.size() == 96);
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(std::abs(all[i] - static_cast<double>(line[i])) <= 0.25);
  double part[40];
  io::copy_values(q, 30, 40, part);
  CHECK(std::equal(part, part + 40, all.begin() + 30));
  CHECK_THAT(test::message_of<ShapeError>([&] { io::copy_values(q, 90, 7, part); }),
             ContainsSubstring("has 96 elements; 7 from 90 on"));
  CHECK_THAT(
      test::message_of<IoError>([&] { (void)values(io::GgmlType::q4_k, std::string(144, '\0'), 256); }),
      ContainsSubstring("'t' has type Q4_K, which is not read"));
}

TEST_CASE("the sizes of blocks are those of ggml", "[io][gguf]") {
  // Bits per element as ggml's own tables and papers give them.
  CHECK(io::block_bytes(io::GgmlType::q4_0) * 8.0 / 32 == 4.5);
  CHECK(io::block_bytes(io::GgmlType::q8_0) * 8.0 / 32 == 8.5);
  CHECK(io::block_bytes(io::GgmlType::q4_k) * 8.0 / 256 == 4.5);
  CHECK(io::block_bytes(io::GgmlType::q6_k) * 8.0 / 256 == 6.5625);
  CHECK(io::block_bytes(io::GgmlType::iq4_xs) * 8.0 / 256 == 4.25);
  CHECK(io::block_bytes(io::GgmlType::iq1_s) * 8.0 / 256 == 1.5625);
  CHECK(io::name_of(*io::find_ggml_type(23)) == "IQ4_XS");
  CHECK(!io::find_ggml_type(43));
  CHECK(io::byte_count(io::GgmlType::q2_k, {3, 512}) == 3 * 2 * 84);
}

TEST_CASE("a file is refused by name", "[io][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  io::write_file_atomic(path, "GGUF");
  CHECK_THAT(test::message_of<io::GgufError>([&] { io::GgufFile const file(path); }),
             ContainsSubstring(path + ": truncated"));
  CHECK_THAT(test::message_of<IoError>([&] { io::GgufFile const file(folder.path + "/none"); }),
             ContainsSubstring("No such file"));
}

TEST_CASE("headers of any length are read, up to a limit", "[io][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  for (std::size_t const length : {std::size_t{1} << 19, std::size_t{3} << 20, std::size_t{5} << 20}) {
    std::vector<io::GgufOutput> const tensors{output("w", io::GgmlType::f32, {1}, std::string(4, '\0'))};
    io::GgufMetadata const metadata{{"long", std::string(length, 'x')},
                                    {"z", std::vector<std::uint64_t>(length / 8)}};
    io::write_gguf(path, tensors, metadata);
    io::GgufFile const file(path);
    CHECK(file.metadata() == metadata);
    CHECK(file.values_of<double>(file.at("w")) == std::vector<double>{0});
  }
  // The length of a text that the file has room for, though no header: a hole on the disk, never read as a whole.
  std::string damaged = io::read_file(path).substr(0, 64);
  std::uint64_t const announced = std::uint64_t{1} << 33;
  std::memcpy(damaged.data() + 24 + 8 + 4 + 4, &announced, 8);
  io::write_file_atomic(path, damaged);
  std::filesystem::resize_file(path, announced + 4096);
  CHECK_THAT(test::message_of<io::GgufError>([&] { io::GgufFile const file(path); }),
             ContainsSubstring("damaged or longer than 268435456 bytes"));
}

TEST_CASE("a file that is shortened while it is open is an error", "[io][gguf]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/model.gguf";
  std::vector<io::GgufOutput> const tensors{
      output("w", io::GgmlType::f32, {65536}, std::string(262144, '\0'))};
  io::write_gguf(path, tensors, {});
  io::GgufFile const file(path);
  std::filesystem::resize_file(path, 4096);
  CHECK_THAT(test::message_of<IoError>([&] { (void)file.values_of<float>(file.at("w")); }),
             ContainsSubstring("it ends at byte 4096"));
}

TEST_CASE("the seeds of the fuzz target reach both ends", "[io][gguf][fuzz]") {
  int accepted = 0, refused = 0;
  for (auto const& entry :
       std::filesystem::directory_iterator(std::string(AETH_TEST_DATA_DIR) + "/fuzz/corpus/gguf")) {
    std::string const content = io::read_file(entry.path());
    try {
      (void)io::GgufView(as_bytes(content), "seed");
      ++accepted;
    } catch (io::GgufError const&) {
      ++refused;
    }
  }
  CHECK(accepted >= 4);
  CHECK(refused >= 8);
}
