// Rows of the fault table are numbered as in the comments: 1-9 damage, 11 files that change.
#include "aeth/io/safetensors.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>

#include "aeth/io/safetensors_writer.hpp"
#include "support/catch.hpp"
#include "support/file_size_limit.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using Fault = io::SafetensorsFault;

namespace {

std::string with_length(std::uint64_t length, std::string const& rest) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + rest;
}

std::string file_of(std::string const& header, std::size_t data) {
  return with_length(header.size(), header + std::string(data, '\1'));
}

io::SafetensorsView view(std::string const& content) {
  return {std::as_bytes(std::span(content.data(), content.size())), "weights.safetensors"};
}

/// One tensor `t` with these members.
std::string tensor(std::string const& members, std::size_t data) {
  return file_of(R"({"t":{)" + members + "}}", data);
}

void check_refused(std::string const& content, Fault fault, std::vector<std::string> const& parts) {
  INFO(content.substr(0, 200));
  try {
    (void)view(content);
    FAIL("accepted");
  } catch (io::SafetensorsError const& error) {
    CHECK(name_of(error.fault) == name_of(fault));
    CHECK_THAT(error.what(), ContainsSubstring("weights.safetensors: " + std::string(name_of(fault))) &&
                                 ContainsSubstring("copy or write it again"));
    for (std::string const& part : parts) CHECK_THAT(error.what(), ContainsSubstring(part));
  }
}

double seconds_of(std::function<void()> const& f) {
  auto const start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("row 1: files of 0 to 7 bytes are too short", "[io][safetensors]") {
  for (std::size_t size = 0; size < 8; ++size)
    check_refused(std::string(size, '{'), Fault::too_short, {"it has " + std::to_string(size) + " bytes"});
}

TEST_CASE("row 2: the header's length is checked first", "[io][safetensors]") {
  check_refused(with_length(0, "{}"), Fault::bad_length, {"header of 0 bytes"});
  check_refused(with_length(1, "{}"), Fault::bad_length, {"header of 1 bytes"});
  check_refused(with_length(3, "{}"), Fault::bad_length, {"only 2 follow"});
  check_refused(with_length(100'000'001, "{}"), Fault::bad_length, {"limit is 100000000"});
  check_refused(with_length(~std::uint64_t{0}, "{}"), Fault::bad_length, {"18446744073709551615"});
  check_refused("PK\3\4 this is a zip archive", Fault::bad_length, {"is this a safetensors file?"});
}

TEST_CASE("row 3: nothing but JSON and spaces in the header", "[io][safetensors]") {
  CHECK(view(file_of("{}", 0)).tensors().empty());
  CHECK(view(file_of("{}     ", 0)).tensors().empty());
  check_refused(file_of(" {}", 0), Fault::bad_json, {"byte 32 at byte 8"});
  check_refused(file_of("\xEF\xBB\xBF{}", 0), Fault::bad_json, {"byte 239 at byte 8"});
  check_refused(file_of(std::string("{}\0\0", 4), 0), Fault::bad_json, {"NUL at byte 10", "only spaces"});
  check_refused(file_of("{} {}", 0), Fault::bad_json, {"byte 11 of the file"});
  check_refused(file_of("{\"a\xFF\":1}", 0), Fault::bad_json, {"UTF-8", "byte 11 of the file"});
  check_refused(file_of("{", 1), Fault::bad_length, {"header of 1"});
  check_refused(file_of("{\"", 1), Fault::bad_json, {"of the file"});
  check_refused(file_of("[]", 0), Fault::bad_json, {"not with '{'"});
}

TEST_CASE("row 4: a name twice is called a duplicate", "[io][safetensors]") {
  std::string const t = R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  check_refused(file_of("{" + t + "," + t + "}", 1), Fault::duplicate, {"tensor 't' is in the header twice"});
  check_refused(tensor(R"("dtype":"U8","shape":[1],"dtype":"U8","data_offsets":[0,1])", 1), Fault::duplicate,
                {"tensor 't' has the key dtype twice"});
  check_refused(file_of(R"({"__metadata__":{},"__metadata__":{}})", 0), Fault::duplicate, {"__metadata__"});
  check_refused(file_of(R"({"__metadata__":{"a":"","a":""}})", 0), Fault::duplicate, {"the key 'a' twice"});
}

TEST_CASE("row 5: offsets rise, touch and end with the file", "[io][safetensors]") {
  auto const two = [](std::string const& a, std::string const& b, std::size_t data) {
    return file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                       R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                   data);
  };
  CHECK(view(two("[0,4]", "[4,8]", 8)).tensors().size() == 2);
  CHECK(view(two("[4,8]", "[0,4]", 8)).tensors()[0].name == "b");
  check_refused(two("[0,4]", "[2,6]", 6), Fault::bad_offsets, {"tensor 'b'", "inside the one before"});
  check_refused(two("[0,4]", "[0,4]", 4), Fault::bad_offsets, {"tensor 'b'", "inside the one before"});
  check_refused(two("[0,4]", "[5,9]", 9), Fault::bad_offsets, {"tensor 'b'", "gap"});
  check_refused(two("[0,4]", "[8,4]", 8), Fault::bad_offsets, {"tensor 'b'", "must rise"});
  check_refused(two("[0,4]", "[4,8]", 7), Fault::bad_offsets, {"tensor 'b'", "within the 7 bytes"});
  check_refused(two("[0,4]", "[4,8]", 9), Fault::bad_offsets, {"byte 8", "9 bytes"});
  check_refused(two("[0,4]", "[-4,8]", 8), Fault::bad_entry, {"tensor 'b'", "negative number -4"});
  check_refused(two("[0,4]", "[4.0,8]", 8), Fault::bad_entry, {"tensor 'b'", "'4.0'"});
  check_refused(two("[0,4]", "[4,1e999]", 8), Fault::bad_json, {"of the file"});
  check_refused(two("[0,4]", "[4,18446744073709551616]", 8), Fault::bad_entry, {"tensor 'b'", "2^64"});
  check_refused(two("[0,4]", R"(["4",8])", 8), Fault::bad_entry, {"tensor 'b'", "the text '4'"});
  check_refused(two("[0,4]", "[4]", 8), Fault::bad_entry, {"tensor 'b'", "1 data_offsets"});
  check_refused(two("[0,4]", "[4,8,8]", 8), Fault::bad_entry, {"tensor 'b'", "more than two"});
  check_refused(two("[0,4]", "[18446744073709551615,18446744073709551615]", 8), Fault::bad_offsets, {"'b'"});
  check_refused(file_of("{}", 1), Fault::bad_offsets, {"the file has 1 bytes"});
}

TEST_CASE("row 6: shapes that overflow or do not fit the bytes", "[io][safetensors]") {
  auto const shaped = [](std::string const& type, std::string const& shape, std::size_t data) {
    return tensor(R"("dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":[0,)" +
                      std::to_string(data) + "]",
                  data);
  };
  check_refused(shaped("F32", "[4611686018427387904,4]", 0), Fault::overflow, {"tensor 't'", "64 bits"});
  check_refused(shaped("F32", "[4611686018427387904]", 0), Fault::overflow, {"64 bits"});
  check_refused(shaped("F32", "[9223372036854775808]", 0), Fault::overflow, {"2^63 - 1"});
  check_refused(shaped("F32", "[2,2]", 12), Fault::mismatch, {"F32 [2, 2] takes 16", "give 12"});
  check_refused(shaped("F4", "[3]", 1), Fault::mismatch, {"F4 [3]", "whole byte"});
  CHECK(view(shaped("F6_E2M3", "[4]", 3)).tensors()[0].bytes.size() == 3);
  std::string many = "[1";
  for (int i = 1; i < 1'000'000; ++i) many += ",1";
  check_refused(shaped("U8", many + "]", 1), Fault::over_limit, {"tensor 't'", "more than 32 extents"});
}

TEST_CASE("row 7: an unknown element type is refused", "[io][safetensors]") {
  for (std::string const type : {"", "f32", "F32 ", "FLOAT", "Q4_K"})
    check_refused(tensor(R"("dtype":")" + type + R"(","shape":[1],"data_offsets":[0,4])", 4),
                  Fault::unknown_dtype, {"tensor 't'", "'" + type + "'"});
}

TEST_CASE("row 8: tensors of rank 0 and without elements", "[io][safetensors]") {
  std::string const content = file_of(
      R"({"e":{"dtype":"F32","shape":[3,0],"data_offsets":[4,4]},"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("z":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
      4);
  auto const file = view(content);
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.find("s")->bytes.size() == 4);
  CHECK(file.find("e")->bytes.empty());
  CHECK(io::values_of<float>(*file.find("e")).empty());
  CHECK(file.find("q") == nullptr);
}

TEST_CASE("row 9: entries of another form", "[io][safetensors]") {
  check_refused(tensor(R"("dtype":"U8","shape":[1])", 1), Fault::bad_entry,
                {"tensor 't' lacks data_offsets"});
  check_refused(tensor(R"("shape":[1],"data_offsets":[0,1])", 1), Fault::bad_entry, {"lacks dtype"});
  check_refused(tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,1])", 1), Fault::bad_entry, {"number 1"});
  check_refused(tensor(R"("dtype":"U8","shape":1,"data_offsets":[0,1])", 1), Fault::bad_entry, {"number 1"});
  check_refused(tensor(R"("dtype":"U8","shape":"1","data_offsets":[0,1])", 1), Fault::bad_entry,
                {"text '1'"});
  check_refused(tensor(R"("dtype":["U8"],"shape":[1],"data_offsets":[0,1])", 1), Fault::bad_entry,
                {"a list"});
  check_refused(tensor(R"("dtype":"U8","shape":[[1]],"data_offsets":[0,1])", 1), Fault::bad_entry,
                {"a list"});
  check_refused(tensor(R"("dtype":"U8","shape":[{}],"data_offsets":[0,1])", 1), Fault::bad_entry,
                {"an object"});
  check_refused(tensor(R"("dtype":"U8","shape":[1],"extra":1,"data_offsets":[0,1])", 1), Fault::bad_entry,
                {"unknown key 'extra'"});
  check_refused(tensor(R"("dtype":"U8","shape":[true],"data_offsets":[0,1])", 1), Fault::bad_entry, {"true"});
  check_refused(file_of(R"({"t":null})", 0), Fault::bad_entry, {"tensor 't' is null, not an object"});
  check_refused(file_of(R"({"t":[]})", 0), Fault::bad_entry, {"tensor 't' is a list"});
  check_refused(file_of(R"({"__metadata__":1})", 0), Fault::bad_entry, {"__metadata__ is the number 1"});
  check_refused(file_of(R"({"__metadata__":null})", 0), Fault::bad_entry, {"__metadata__ is null"});
  check_refused(file_of(R"({"__metadata__":{"a":1}})", 0), Fault::bad_entry,
                {"__metadata__ 'a'", "not text"});
  check_refused(file_of(R"({"__metadata__":{"a":{}}})", 0), Fault::bad_entry, {"__metadata__ 'a'"});
}

TEST_CASE("row 9: large and deep headers take bounded time", "[io][safetensors]") {
  auto const many = [](std::size_t count) {
    std::string header = "{";
    for (std::size_t i = 0; i < count; ++i)
      header += (i > 0 ? ",\"" : "\"") + std::to_string(i * 7919 % count) +
                R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    return file_of(header + "}", 0);
  };
  std::string const most = many(io::max_safetensors_tensors);
  CHECK(seconds_of([&] { CHECK(view(most).tensors().size() == io::max_safetensors_tensors); }) < 60.0);
  check_refused(many(io::max_safetensors_tensors + 1), Fault::over_limit, {"more than 1000000 tensors"});
  check_refused(file_of(R"({"t":)" + std::string(10'000'000, '[') + "}", 0), Fault::bad_entry, {"a list"});
  check_refused(file_of(R"({"t":{"shape":)" + std::string(10'000'000, '['), 0), Fault::bad_entry, {"a list"});
  check_refused(file_of("{\"" + std::string(65536, 'n') + R"(":{}})", 0), Fault::over_limit,
                {"65536 bytes", "limit is 4096", "…"});
}

TEST_CASE("what is written is read back, byte for byte and in a fixed order", "[io][safetensors]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/t.safetensors";
  std::vector<float> const weights{1.5F, -2.0F, 3.0F, 4.0F, 5.0F, 6.0F};
  std::vector<double> const moments{1e-300, 2.0};
  std::vector<std::int64_t> const steps{-1, std::int64_t{1} << 62, 3};
  std::vector<std::uint8_t> const flags{1, 2, 3};
  std::vector<io::TensorEntry> const entries{
      io::tensor_entry<std::uint8_t>("flags", {3}, flags), io::tensor_entry<float>("w", {2, 3}, weights),
      io::tensor_entry<double>("m", {2}, moments), io::tensor_entry<std::int64_t>("steps", {3}, steps),
      io::tensor_entry<float>("none", {0, 7}, {})};
  io::Metadata const notes{{"format", "pt"}, {"quote", "\"\\\n\t\x01 ü"}};
  io::write_safetensors(path, entries, notes);
  for (io::Access const access : {io::Access::read, io::Access::map}) {
    io::SafetensorsFile const opened(path, access);
    io::SafetensorsFile file = io::SafetensorsFile(path, access);
    CHECK(file.metadata() == notes);
    CHECK(io::values_of<float>(file.at("w")) == weights);
    CHECK(io::values_of<double>(file.at("w")) == std::vector<double>(weights.begin(), weights.end()));
    CHECK(io::values_of<double>(file.at("m")) == moments);
    CHECK(io::values_of<std::int64_t>(file.at("steps")) == steps);
    CHECK(io::values_of<std::uint8_t>(file.at("flags")) == flags);
    CHECK(file.at("none").shape == io::TensorShape{0, 7});
    CHECK_THAT(test::message_of<IoError>([&] { (void)file.at("v"); }), ContainsSubstring("no tensor 'v'"));
    CHECK_THAT(test::message_of<IoError>([&] { (void)io::values_of<float>(file.at("flags")); }),
               ContainsSubstring("'flags'") && ContainsSubstring("U8"));
    std::vector<std::string> names;
    for (io::TensorEntry const& t : file.tensors()) {
      names.push_back(t.name);
      CHECK(reinterpret_cast<std::uintptr_t>(t.bytes.data()) % (io::bits_of(t.dtype) / 8) == 0);
    }
    CHECK(names == std::vector<std::string>{"m", "steps", "w", "none", "flags"});
    CHECK((file.tensors()[0].bytes.data() - file.bytes().data()) % 64 == 0);
  }
  std::string const once = io::read_file(path);
  io::write_safetensors(path, entries, notes);
  CHECK(io::read_file(path) == once);
  CHECK(folder.entries() == 1);
}

TEST_CASE("unaligned tensors are read by copying", "[io][safetensors]") {
  std::string const header =
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"i":{"dtype":"I64","shape":[1],"data_offsets":[1,9]}})";
  std::string const content = file_of(header, 1) + std::string("\2\0\0\0\0\0\0\0", 8);
  CHECK(io::values_of<std::int64_t>(*view(content).find("i")) == std::vector<std::int64_t>{2});
}

TEST_CASE("half precision is widened exactly", "[io][safetensors][f16]") {
  auto const widen = [](std::uint16_t bits) { return static_cast<float>(f16{bits}); };
  CHECK(widen(0x3C00) == 1.0F);
  CHECK(widen(0xC000) == -2.0F);
  CHECK(widen(0x7BFF) == 65504.0F);
  CHECK(widen(0x0001) == 0x1p-24F);
  CHECK(widen(0x83FF) == -0x1.ff8p-15F);
  CHECK(widen(0x0400) == 0x1p-14F);
  CHECK(std::signbit(widen(0x8000)));
  CHECK(widen(0x8000) == 0.0F);
  CHECK(std::isinf(widen(0xFC00)));
  CHECK(std::isnan(widen(0x7E00)));
}

TEST_CASE("every element type keeps its name", "[io][safetensors]") {
  for (int i = 0; i <= static_cast<int>(io::DType::c64); ++i) {
    auto const type = static_cast<io::DType>(i);
    CHECK(io::find_dtype(io::name_of(type)) == type);
    CHECK(io::bits_of(type) > 0);
  }
  CHECK(io::find_dtype("BOOL") == io::DType::boolean);
}

TEST_CASE("tensors that make no file are refused before anything is written", "[io][safetensors]") {
  test::TemporaryFolder const folder;
  std::vector<float> const one{1.0F};
  auto const refusal = [&](std::vector<io::TensorEntry> const& tensors, io::Metadata const& notes = {}) {
    return test::message_of([&] { io::write_safetensors(folder.path + "/t", tensors, notes); });
  };
  auto const t = [&](std::string const& name, io::TensorShape const& shape = {1}) {
    return io::tensor_entry<float>(name, shape, one);
  };
  CHECK_THAT(refusal({t("a"), t("a")}), ContainsSubstring("'a' is reserved or given twice"));
  CHECK_THAT(refusal({t("__metadata__")}), ContainsSubstring("reserved"));
  CHECK_THAT(refusal({t("a", {2})}), ContainsSubstring("F32 [2]"));
  CHECK_THAT(refusal({t("a\xFF")}), ContainsSubstring("UTF-8"));
  CHECK_THAT(refusal({t(std::string(5000, 'n'))}), ContainsSubstring("limit is 4096"));
  CHECK_THAT(refusal({}, {{"a", "\xFF"}}), ContainsSubstring("UTF-8"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("row 41: a write that fails anywhere keeps the old file", "[io][safetensors]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/t.safetensors";
  std::vector<float> const data(1'000'000, 2.0F);
  std::vector<float> const one{1.0F};
  io::write_safetensors(path, std::vector{io::tensor_entry<float>("old", {1}, one)});
  std::string const old = io::read_file(path);
  std::vector const entries{io::tensor_entry<float>("new", {1'000'000}, data),
                            io::tensor_entry<float>("last", {1}, one)};
  for (::rlim_t const limit : {0u, 7u, 100u, 127u, 128u, 4096u, 2'000'000u, 4'000'128u, 4'000'131u}) {
    test::FileSizeLimit const full(limit);
    CHECK_THAT(test::message_of<IoError>([&] { io::write_safetensors(path, entries); }),
               ContainsSubstring(path) && ContainsSubstring("choose another folder"));
    CHECK(io::read_file(path) == old);
    CHECK(folder.entries() == 1);
  }
  io::write_safetensors(path, entries);
  CHECK(io::SafetensorsFile(path).tensors().size() == 2);
}

TEST_CASE("row 11: a file that changes while it is read", "[io][safetensors]") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/t";
  io::write_file_atomic(path, std::string(10'000, 'x'));
  io::OpenFile const open(path);
  REQUIRE(::truncate(path.c_str(), 5'000) == 0);
  for (io::Access const access : {io::Access::read, io::Access::map})
    CHECK_THAT(test::message_of<IoError>([&] { (void)io::FileBytes(open, access); }),
               ContainsSubstring(path) && ContainsSubstring("wait until its writer is done"));
  REQUIRE(::truncate(path.c_str(), 20'000) == 0);
  for (io::Access const access : {io::Access::read, io::Access::map})
    CHECK_THAT(test::message_of<IoError>([&] { (void)io::FileBytes(open, access); }),
               ContainsSubstring("changed from 10000 to 20000"));
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::SafetensorsFile(folder.path + "/none"); }),
             ContainsSubstring("/none"));
  CHECK_THAT(test::message_of<IoError>([&] { (void)io::SafetensorsFile(folder.path); }),
             ContainsSubstring("folder"));
}

TEST_CASE("the seeds of the fuzz target do what their names say", "[io][safetensors]") {
  std::vector<std::string> accepted;
  for (auto const& entry :
       std::filesystem::directory_iterator(std::string(AETH_TEST_DATA_DIR) + "/fuzz/corpus/safetensors"))
    if (test::message_of<io::SafetensorsError>([&] { (void)io::SafetensorsFile(entry.path().string()); }) ==
        "no error")
      accepted.push_back(entry.path().filename().string());
  std::sort(accepted.begin(), accepted.end());
  CHECK(accepted ==
        std::vector<std::string>{"data", "empty", "empty_tensors", "metadata", "narrow", "padded", "two"});
}
