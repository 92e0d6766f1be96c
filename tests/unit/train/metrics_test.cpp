#include "aeth/train/metrics.hpp"
#include "aeth/train/progress_line.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"

using aeth::train::MetricsFormat;
using aeth::train::MetricsWriter;

namespace {

/// A path in the temporary folder, free at the start and removed at the end.
struct TemporaryPath {
  explicit TemporaryPath(std::string const& name)
      : path((std::filesystem::temp_directory_path() / ("aeth_metrics_test_" + name)).string()) {
    std::filesystem::remove(path);
  }
  ~TemporaryPath() { std::filesystem::remove(path); }
  TemporaryPath(TemporaryPath const&) = delete;
  TemporaryPath& operator=(TemporaryPath const&) = delete;

  [[nodiscard]] std::string content() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void append(std::string const& bytes) const {
    std::ofstream(path, std::ios::binary | std::ios::app) << bytes;
  }

  std::string path;
};

void add(MetricsWriter& writer, aeth::Index step, std::vector<double> const& values) {
  writer.append(step, values);
}

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("JSON lines: each row is in the file as soon as it is written") {
  TemporaryPath const file("rows.jsonl");
  MetricsWriter writer({.path = file.path, .columns = {"loss", "a \"name\""}});
  add(writer, 0, {6.25, 0.1});
  CHECK(file.content() == "{\"step\":0,\"loss\":6.25,\"a \\\"name\\\"\":0.1}\n");
  add(writer, 1, {not_a_number, -infinity});
  CHECK(file.content().ends_with("\n{\"step\":1,\"loss\":null,\"a \\\"name\\\"\":null}\n"));
}

TEST_CASE("CSV: a header, then rows; numbers that are not finite are empty") {
  TemporaryPath const file("rows.csv");
  MetricsWriter writer({.path = file.path, .format = MetricsFormat::csv, .columns = {"loss", "a,b", "rate"}});
  add(writer, 3, {1.5, not_a_number, 1e-4});
  CHECK(file.content() == "step,loss,\"a,b\",rate\n3,1.5,,1e-04\n");
}

TEST_CASE("resuming drops later rows and a torn line, and goes on as if nothing had happened") {
  auto const format = GENERATE(MetricsFormat::jsonl, MetricsFormat::csv);
  TemporaryPath const interrupted("interrupted"), whole("whole");
  auto const open = [&](TemporaryPath const& file, aeth::Index after) {
    return MetricsWriter({.path = file.path, .format = format, .columns = {"loss"}, .resume_after = after});
  };
  auto uninterrupted = open(whole, -1);
  for (int step = 0; step < 12; ++step) add(uninterrupted, step, {1.0 / (step + 1)});
  {
    auto writer = open(interrupted, -1);
    for (int step = 0; step < 9; ++step) add(writer, step, {1.0 / (step + 1)});
  }
  interrupted.append(format == MetricsFormat::csv ? "9,0." : "{\"step\":9,\"lo");
  auto writer = open(interrupted, 5);
  for (int step = 6; step < 12; ++step) add(writer, step, {1.0 / (step + 1)});
  CHECK(interrupted.content() == whole.content());
  CHECK_FALSE(std::filesystem::exists(interrupted.path + ".tmp"));
}

TEST_CASE("a new start empties the file; resuming without a file, or with a torn header, starts one") {
  TemporaryPath const file("new.csv");
  file.append("old\n");
  { MetricsWriter const writer({.path = file.path, .format = MetricsFormat::csv, .columns = {"loss"}}); }
  CHECK(file.content() == "step,loss\n");
  std::filesystem::remove(file.path);
  { MetricsWriter const writer({file.path, MetricsFormat::csv, {"loss"}, 7}); }
  CHECK(file.content() == "step,loss\n");
  std::filesystem::remove(file.path);
  file.append("step,lo");
  { MetricsWriter const writer({file.path, MetricsFormat::csv, {"loss"}, 7}); }
  CHECK(file.content() == "step,loss\n");
}

TEST_CASE("a file of another run or a broken one is not touched") {
  TemporaryPath const file("broken.csv");
  file.append("step,loss,rate\n1,2,3\n");
  CHECK_THROWS_WITH(MetricsWriter({file.path, MetricsFormat::csv, {"loss"}, 7}),
                    Catch::EndsWith("broken.csv: has other columns than this run; move it away"));
  CHECK(file.content() == "step,loss,rate\n1,2,3\n");
  std::filesystem::remove(file.path);
  file.append("step,loss\n1,2\nrubbish\n2,1\n");
  CHECK_THROWS_WITH(MetricsWriter({file.path, MetricsFormat::csv, {"loss"}, 7}),
                    Catch::Contains("broken.csv:3: not a row of metrics"));
  CHECK(file.content() == "step,loss\n1,2\nrubbish\n2,1\n");
}

TEST_CASE("what cannot be written is refused") {
  TemporaryPath const file("refused");
  CHECK_THROWS_AS(MetricsWriter({.path = file.path, .columns = {"loss", "loss"}}), aeth::UsageError);
  CHECK_THROWS_AS(MetricsWriter({.path = file.path, .columns = {"step"}}), aeth::UsageError);
  CHECK_THROWS_AS(MetricsWriter({.path = file.path, .columns = {""}}), aeth::UsageError);
  CHECK_THROWS_AS(MetricsWriter({.path = file.path, .columns = {"a\nb"}}), aeth::UsageError);
  CHECK_THROWS_WITH(MetricsWriter({.path = file.path + "/missing/run.csv", .columns = {"loss"}}),
                    Catch::Contains("cannot open metrics for writing"));
  MetricsWriter writer({.path = file.path, .columns = {"loss"}});
  CHECK_THROWS_WITH(add(writer, 0, {1.0, 2.0}), "metrics row: 2 values for 1 columns");
  CHECK_THROWS_AS(add(writer, -1, {1.0}), aeth::UsageError);
}

TEST_CASE("a progress line says what is known and leaves out what is not") {
  aeth::train::Progress p;
  p.step = 3;
  p.loss.main = 2.34567;
  p.rate = 0.0015;
  p.tokens_per_second = 12345.6;
  p.max_violation = 0.5;
  p.seconds_left = 67.9;
  CHECK(describe(p) ==
        "step 3  loss 2.346  rate 1.50e-03  12346 tokens/s  expert load violation 0.50  left 1:07");
  p.total_steps = 400;
  p.bits_per_byte = 1.5;
  p.seconds_left = 3600;
  CHECK(describe(p) ==
        "step 3/400  loss 2.346  validation 1.500 bits/byte  rate 1.50e-03  12346 tokens/s  expert load "
        "violation 0.50  left 60:00");
}

TEST_CASE("away from a terminal the progress line is written now and then, and at validations and the end") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  aeth::train::ProgressLine line(file);
  aeth::train::Progress p;
  p.total_steps = 120;
  for (p.step = 1; p.step <= 120; ++p.step) {
    p.validated = p.step == 70;
    line(p);
  }
  std::string content;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) content.push_back(static_cast<char>(c));
  std::fclose(file);
  std::string steps;
  for (std::size_t at = content.find("step "); at != content.npos; at = content.find("step ", at + 1))
    steps += content.substr(at + 5, content.find('/', at) - at - 5) + ' ';
  CHECK(steps == "50 70 100 120 ");
  CHECK(std::count(content.begin(), content.end(), '\n') == 4);
}
