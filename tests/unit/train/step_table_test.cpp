#include "aeth/train/step_table.hpp"

#include <cmath>

#include "aeth/io/file.hpp"
#include "aeth/train/metrics.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {
using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using train::parse_step_table;

TEST_CASE("a table of metrics reads back what was written") {
  test::TemporaryFolder const folder;
  std::string const path = folder.path + "/metrics.csv";
  train::MetricsWriter writer(
      {.path = path, .format = train::MetricsFormat::csv, .columns = {"loss", "a,\"b\""}});
  writer.append(1, std::vector<double>{0.1, -3e-300});
  writer.append(7, std::vector<double>{std::nan(""), 1e17});
  auto const table = parse_step_table(io::read_file(path), path);
  CHECK(table.steps == std::vector<double>{1, 7});
  CHECK(table.names == std::vector<std::string>{"loss", "a,\"b\""});
  REQUIRE(table.find("loss") != nullptr);
  CHECK((*table.find("loss"))[0] == 0.1);
  CHECK(std::isnan((*table.find("loss"))[1]));
  CHECK(*table.find("a,\"b\"") == std::vector<double>{-3e-300, 1e17});
  CHECK(table.find("step") == nullptr);
}

TEST_CASE("a torn last line is dropped, an empty file is an empty table") {
  CHECK(parse_step_table("", "f").names.empty());
  CHECK(parse_step_table("step,lo", "f").names.empty());
  CHECK(parse_step_table("step,loss\n1,2\n2,3", "f").steps == std::vector<double>{1});
}

TEST_CASE("a table that is damaged is refused with its line") {
  CHECK_THROWS_WITH(parse_step_table("loss,step\n", "f"),
                    ContainsSubstring("f: the first column must be named step"));
  CHECK_THROWS_WITH(parse_step_table("step,loss\n1,2,3\n", "f"),
                    ContainsSubstring("f:2: 3 cells, the header has 2"));
  CHECK_THROWS_WITH(parse_step_table("step,loss\n1,x\n", "f"), ContainsSubstring("f:2: cell 2 is no number"));
  CHECK_THROWS_WITH(parse_step_table("step,loss\n1,inf\n", "f"),
                    ContainsSubstring("f:2: cell 2 is no number"));
  CHECK_THROWS_WITH(parse_step_table("step,loss\n,2\n", "f"), ContainsSubstring("f:2: cell 1 is no number"));
  CHECK_THROWS_WITH(parse_step_table("step,loss\n1,2\n1,3\n", "f"),
                    ContainsSubstring("f:3: step 1 does not follow 1"));
  CHECK_THROWS_WITH(parse_step_table("step,\"loss\n", "f"), ContainsSubstring("f:1: a quotation mark"));
}

}  // namespace
