// A picture of a benchmark run: for each result the share of its limit as a bar, grouped by what was measured.
//
//   aeth_bench_plot build/bench.jsonl build/bench.svg
//
// Reads the lines that harness.hpp writes; results without a limit are left out.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/core/text.hpp"
#include "aeth/train/svg.hpp"

namespace {

namespace svg = aeth::train::svg;

/// What a bar shows.
struct Bar {
  std::string name;   ///< configuration and precision
  std::string value;  ///< with its unit
  double share = 0;   ///< of the limit
  bool by_memory = false;
};

struct Group {
  std::string bench;
  std::vector<Bar> bars;
};

/// The value of a field of one flat JSON object as `harness.hpp` writes it; empty if it is null or not there.
std::string field(std::string_view line, std::string const& name) {
  std::string const key = '"' + name + "\":";
  std::size_t at = line.find(key);
  if (at == std::string_view::npos) return {};
  at += key.size();
  std::string value;
  if (at < line.size() && line[at] == '"') {
    for (++at; at < line.size() && line[at] != '"'; ++at) {
      if (line[at] == '\\') ++at;
      if (at < line.size()) value += line[at];
    }
    return value;
  }
  while (at < line.size() && line[at] != ',' && line[at] != '}') value += line[at++];
  return value == "null" ? std::string{} : value;
}

/// Groups in the order of their first results.
std::vector<Group> read(std::string const& path, std::string& hardware) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<Group> groups;
  for (std::string line; std::getline(file, line);) {
    hardware = field(line, "hardware");
    std::string const share = field(line, "share_of_limit"), bench = field(line, "bench");
    if (share.empty() || bench.empty()) continue;
    auto group = std::find_if(groups.begin(), groups.end(), [&](Group const& g) { return g.bench == bench; });
    if (group == groups.end()) group = groups.insert(group, {bench, {}});
    double const value = std::atof(field(line, "value").c_str());
    group->bars.push_back({aeth::text(field(line, "config"), ' ', field(line, "precision")),
                           aeth::text(aeth::fixed(value, value < 10    ? 2
                                                         : value < 100 ? 1
                                                                       : 0),
                                      ' ', field(line, "unit")),
                           std::atof(share.c_str()), field(line, "limited_by") == "memory"});
  }
  return groups;
}

std::string draw(std::vector<Group> const& groups, std::string const& hardware) {
  constexpr double row = 16, gap = 34, top = 96, left = 360, right = 130, scale = 500;
  constexpr std::string_view compute = svg::palette[0], memory = svg::palette[2];
  double height = top;
  std::string bars;
  for (Group const& group : groups) {
    bars += svg::label(16, height + 20, group.bench, {.size = 13, .colour = svg::ink, .weight = "600"});
    height += gap - 6;
    for (Bar const& bar : group.bars) {
      double const width = std::min(std::max(bar.share, 0.0), 1.0) * scale;
      bars += svg::label(left - 10, height + 11, bar.name, {.size = 11, .anchor = "end"});
      bars += svg::rectangle(left, height + 2, width, row - 4, bar.by_memory ? memory : compute);
      bars += svg::label(left + width + 6, height + 11,
                         aeth::text(aeth::fixed(100 * bar.share, 0), " %, ", bar.value), {.size = 11});
      height += row;
    }
    height += gap / 4;
  }
  double const total = left + scale + right;
  std::string body =
      svg::label(16, 28, "Share of the machine's limit", {.size = 18, .colour = svg::ink, .weight = "600"});
  body += svg::label(16, 48, hardware, {.size = 12});
  body += svg::rectangle(16, 60, 12, 12, compute) + svg::label(34, 70, "limited by arithmetic", {});
  body += svg::rectangle(196, 60, 12, 12, memory) + svg::label(214, 70, "limited by memory", {});
  for (int percent = 0; percent <= 100; percent += 25) {
    double const x = left + percent * scale / 100;
    body += svg::line(x, top - 4, x, height, svg::grid);
    body += svg::label(x, top - 10, aeth::text(percent, " %"), {.size = 11, .anchor = "middle"});
  }
  return svg::document(total, height + 16, "Share of the machine's limit", body + bars);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "aeth_bench_plot RESULTS.jsonl PICTURE.svg\n");
    return 2;
  }
  try {
    std::string hardware;
    auto const groups = read(argv[1], hardware);
    std::ofstream file(argv[2]);
    file << draw(groups, hardware);
    if (!file.flush()) throw std::runtime_error(aeth::text("cannot write ", argv[2]));
    return 0;
  } catch (std::exception const& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
