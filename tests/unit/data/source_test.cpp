#include "aeth/data/source.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using namespace aeth::data;
namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;

namespace {

struct Folder : aeth::test::TemporaryFolder {
  void write(std::string const& name, std::string_view content) const {
    fs::create_directories(fs::path(path + "/" + name).parent_path());
    io::write_file_atomic(path + "/" + name, content);
  }
};

}  // namespace

TEST_CASE("patterns of names", "[io][folder]") {
  CHECK(io::matches("a.hpp", "*.hpp"));
  CHECK(io::matches("a.b.hpp", "a*?.hpp"));
  CHECK(io::matches("", "*"));
  CHECK(io::matches("abcabc", "*abc"));
  CHECK_FALSE(io::matches("a.hpp", "*.h"));
  CHECK_FALSE(io::matches("a.h", "?.h?"));
  CHECK_FALSE(io::matches(std::string(5000, 'a'), "*a*a*a*a*a*a*a*b"));
}

TEST_CASE("a folder is read in order, by patterns", "[data][source]") {
  using namespace std::string_literals;
  Folder const folder;
  folder.write("z.hpp", "int z;");
  folder.write("sub/vector", "template <class T>");
  folder.write("sub/b.hpp", "int b;");
  folder.write("copy.hpp", "int z;");
  folder.write("empty.hpp", "");
  folder.write("one.hpp", "x");
  folder.write("image.hpp", "\x89PNG\0\0"s);
  std::string latin(100, 'a');
  latin += '\xE9';
  folder.write("latin.hpp", latin);
  folder.write("noise.hpp", "\xFF\xFE\xFD\xFC");
  folder.write(".git/hidden.hpp", "int hidden;");
  folder.write("notes.txt", "notes");
  folder.write("big.hpp", std::string(2000, 'b'));
  SourceReport report;
  auto const documents = read_source(
      folder.path, {.patterns = {"*.hpp", std::string(io::no_extension)}, .max_file_bytes = 1000}, &report);
  std::vector<std::string> names;
  for (auto const& document : documents) names.push_back(document.name.substr(folder.path.size() + 1));
  CHECK(names == std::vector<std::string>{"copy.hpp", "latin.hpp", "one.hpp", "sub/b.hpp", "sub/vector"});
  CHECK(report == SourceReport{5, 6 + 101 + 1 + 6 + 18, 1, 2, 1, 1});
}

TEST_CASE("sources without text are refused", "[data][source]") {
  Folder const folder;
  CHECK_THROWS_WITH(read_source(folder.path, {.patterns = {"*.a", "*.b"}}),
                    ContainsSubstring("matches *.a, *.b"));
  CHECK_THROWS_AS(read_source(folder.path + "/none"), IoError);
  folder.write("a.txt", std::string(10, '\0'));
  CHECK_THROWS_WITH(read_source(folder.path), ContainsSubstring("1 binary"));
  CHECK_THROWS_WITH(read_source(folder.path + "/a.txt"), ContainsSubstring("1 binary"));
  folder.write("b.txt", "x");
  CHECK(read_source(folder.path + "/b.txt").at(0).text == "x");
}
