/// What the benchmark programs share: timing, options, one JSON object per result, a table.
///
/// A result is the median of several samples, of three at most where a call takes seconds. A sample repeats the
/// operation until the given time has passed, so that the clock's own cost does not count. Where there is a peer, both are sampled in turns: what
/// disturbs the machine meanwhile disturbs both.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "aeth/backend/cpu/simd_level.hpp"
#include "aeth/core/math.hpp"

namespace bench {

/// Makes the compiler believe that all memory was read and written here, so that no work before it is dead.
inline void keep_all() {
  asm volatile("" ::: "memory");
}
/// Makes the compiler believe that the value is used.
template <class T>
inline void keep(T const& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

/// What seconds are counted: of the wall, or those that this thread had a core for. The latter suits one
/// thread on a machine that others use too.
enum class Clock { wall, thread };

[[nodiscard]] inline double now(Clock clock) {
  timespec time{};
  clock_gettime(clock == Clock::wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// The command line of every benchmark program.
struct Options {
  std::string filter{};  ///< run what has this in "name config precision"
  std::string json{};    ///< append results to this file
  double seconds = 0.2;  ///< least time of one sample
  int samples = 7;       ///< timed samples per result, after one for warming up
  int threads = 0;       ///< 0 = all cores
  Clock clock = Clock::wall;
  aeth::SimdLevel level = aeth::best_simd_level();  ///< of the library; peers use what the machine has
};

inline constexpr char usage[] =
    "  --filter TEXT     only results whose \"bench config precision\" contains TEXT\n"
    "  --json FILE       append one JSON object per result to FILE\n"
    "  --seconds S       least time of one sample (0.2)\n"
    "  --samples N       samples per result (7); at most 3 where a call takes 2 seconds\n"
    "  --threads N       threads (all cores)\n"
    "  --clock CLOCK     wall, or thread: processor time, with --threads 1 only (wall)\n"
    "  --simd LEVEL      scalar, avx2, avx512 or avx512_bf16 (the best that the machine has)\n";

/// errors   std::invalid_argument with a sentence for the user
inline Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    std::string_view const name = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(std::string(name) + " needs a value");
    std::string_view const value = argv[i + 1];
    auto const number = [&]<class T>(T& to, T least) {
      auto const [end, error] = std::from_chars(value.data(), value.data() + value.size(), to);
      if (error != std::errc() || end != value.data() + value.size() || to < least)
        throw std::invalid_argument(std::string(name) + ": \"" + std::string(value) +
                                    "\" is no number it takes");
    };
    if (name == "--filter") {
      o.filter = value;
    } else if (name == "--json") {
      o.json = value;
    } else if (name == "--seconds") {
      number(o.seconds, 0.0);
    } else if (name == "--samples") {
      number(o.samples, 1);
    } else if (name == "--threads") {
      number(o.threads, 1);
    } else if (name == "--clock") {
      if (value != "wall" && value != "thread")
        throw std::invalid_argument("--clock: there is no clock \"" + std::string(value) + '"');
      o.clock = value == "wall" ? Clock::wall : Clock::thread;
    } else if (name == "--simd") {
      bool known = false;
      for (auto const level : aeth::all_simd_levels)
        if (value == aeth::to_string(level)) {
          o.level = aeth::min(level, aeth::best_simd_level());
          known = true;
        }
      if (!known) throw std::invalid_argument("--simd: there is no level \"" + std::string(value) + '"');
    } else {
      throw std::invalid_argument("unknown option " + std::string(name));
    }
  }
  if (o.threads == 0) o.threads = static_cast<int>(aeth::max(std::thread::hardware_concurrency(), 1u));
  if (o.clock == Clock::thread && o.threads > 1)
    throw std::invalid_argument("--clock thread counts the time of one thread and needs --threads 1");
  return o;
}

/// Seconds per call, one value per sample.
struct Samples {
  std::vector<double> seconds{};

  void sort() { std::sort(seconds.begin(), seconds.end()); }
  [[nodiscard]] double fastest() const { return seconds.front(); }
  [[nodiscard]] double slowest() const { return seconds.back(); }
  [[nodiscard]] double median() const {
    std::size_t const half = seconds.size() / 2;
    return seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  }
};

/// Seconds that `calls` calls take.
template <class Body>
double time_calls(Clock clock, Body const& body, long calls) {
  double const begin = now(clock);
  for (long i = 0; i < calls; ++i) {
    body();
    keep_all();
  }
  return now(clock) - begin;
}

/// What takes longer than this many seconds is called once per sample, and is sampled three times.
inline constexpr double long_call = 2.0;

/// Calls that last `least` seconds together, 0 for one long call.
template <class Body>
long calls_per_sample(Clock clock, Body const& body, double least) {
  // First touch of memory, first growth of scratch.
  if (time_calls(clock, body, 1) > std::max(least, long_call)) return 0;
  for (long calls = 1;;) {
    double const taken = time_calls(clock, body, calls);
    if (taken >= least || calls > 1'000'000'000) return calls;
    double const wanted = static_cast<double>(calls) * 1.1 * least / std::max(taken, 1e-9);
    calls = std::max(calls + 1, static_cast<long>(std::min(wanted, static_cast<double>(calls) * 1000)));
  }
}

template <class Body>
Samples measure(Options const& o, Body const& body) {
  long const fitting = calls_per_sample(o.clock, body, o.seconds), calls = std::max(fitting, 1L);
  Samples result;
  for (int i = 0; i < (fitting == 0 ? std::min(o.samples, 3) : o.samples); ++i)
    result.seconds.push_back(time_calls(o.clock, body, calls) / static_cast<double>(calls));
  result.sort();
  return result;
}

/// Samples of several bodies in turns.
template <class... Bodies>
  requires(sizeof...(Bodies) > 1)
std::array<Samples, sizeof...(Bodies)> measure(Options const& o, Bodies const&... bodies) {
  std::array<long, sizeof...(Bodies)> const calls{
      std::max(calls_per_sample(o.clock, bodies, o.seconds), 1L)...};
  std::array<Samples, sizeof...(Bodies)> result;
  for (int i = 0; i < o.samples; ++i) {
    std::size_t n = 0;
    auto const sample = [&](auto const& body) {
      result[n].seconds.push_back(time_calls(o.clock, body, calls[n]) / static_cast<double>(calls[n]));
      ++n;
    };
    (sample(bodies), ...);
  }
  for (auto& samples : result) samples.sort();
  return result;
}

/// Model name of the processor, cores, compiler and flags: what a number is worthless without.
inline std::string hardware() {
  std::string cpu = "unknown processor";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) {
      cpu = line.substr(std::min(line.size(), line.find(':') + 2));
      break;
    }
#if defined(__clang__)
  std::string const compiler = "clang++ " __clang_version__;
#else
  std::string const compiler = "g++ " __VERSION__;
#endif
#if defined(AETH_BENCH_FLAGS)
  std::string const flags = AETH_BENCH_FLAGS;
#else
  std::string const flags = "unknown flags";
#endif
  return cpu + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores, " + compiler + ", " +
         flags;
}

/// One result. `limit` is what the machine could reach, in the same unit; 0 = none known. Values are rates:
/// more is better.
struct Row {
  std::string bench{}, config{}, precision{};
  std::string unit{};
  double value = 0, least = 0, most = 0;  ///< median, min, max over the samples
  int samples = 0;
  double limit = 0;
  std::string limited_by{};  ///< such as "compute" or "memory"
  double gflops = 0;         ///< where the unit is another one and the arithmetic is known
  std::string peer{};
  double peer_value = 0;
};

/// Writes results as they come, and a table in the end.
class Report {
 public:
  explicit Report(Options const& o) : options_(o), hardware_(hardware()) {
    if (!o.json.empty()) {
      json_.open(o.json, std::ios::app);
      if (!json_) throw std::runtime_error("cannot write " + o.json);
    }
  }

  /// Whether the user asked for it.
  [[nodiscard]] bool wants(std::string const& bench, std::string const& config,
                           std::string const& precision) const {
    return (bench + ' ' + config + ' ' + precision).find(options_.filter) != std::string::npos;
  }

  void add(Row const& row) { add(row, options_.threads, aeth::to_string(options_.level)); }

  void add(Row const& row, int threads, std::string_view simd) {
    rows_.push_back({row, threads, std::string(simd)});
    std::fprintf(stderr, "%s %s %s: %.4g %s\n", row.bench.c_str(), row.config.c_str(), row.precision.c_str(),
                 row.value, row.unit.c_str());
    if (!json_.is_open()) return;
    json_ << "{\"bench\":" << quoted(row.bench) << ",\"config\":" << quoted(row.config)
          << ",\"precision\":" << quoted(row.precision) << ",\"simd\":" << quoted(std::string(simd))
          << ",\"threads\":" << threads << ",\"value\":" << number(row.value)
          << ",\"unit\":" << quoted(row.unit) << ",\"limit\":" << number(row.limit)
          << ",\"share_of_limit\":" << number(share(row)) << ",\"limited_by\":" << quoted(row.limited_by)
          << ",\"gflops\":" << number(row.gflops) << ",\"peer\":" << quoted(row.peer)
          << ",\"peer_value\":" << number(row.peer_value) << ",\"ratio\":" << number(ratio(row))
          << ",\"min\":" << number(row.least) << ",\"max\":" << number(row.most)
          << ",\"samples\":" << row.samples
          << ",\"clock\":" << quoted(options_.clock == Clock::wall ? "wall" : "thread")
          << ",\"hardware\":" << quoted(hardware_) << "}" << std::endl;
  }

  /// Prints the table to standard output.
  void print() const {
    std::printf("# %s\n", hardware_.c_str());
    std::vector<std::vector<std::string>> table{{"bench", "config", "precision", "simd", "threads", "value",
                                                 "min", "max", "unit", "limit", "share", "peer", "peer value",
                                                 "ratio"}};
    for (auto const& [row, threads, simd] : rows_) {
      bool const limited = row.limit > 0, compared = !row.peer.empty();
      table.push_back({row.bench, row.config, row.precision, simd, std::to_string(threads),
                       short_number(row.value), short_number(row.least), short_number(row.most), row.unit,
                       limited ? short_number(row.limit) : "", limited ? percent(share(row)) : "", row.peer,
                       compared ? short_number(row.peer_value) : "",
                       compared ? short_number(ratio(row)) : ""});
    }
    std::vector<std::size_t> width(table[0].size(), 0);
    for (auto const& line : table)
      for (std::size_t c = 0; c < line.size(); ++c) width[c] = std::max(width[c], line[c].size());
    for (auto const& line : table) {
      std::string text;
      for (std::size_t c = 0; c < line.size(); ++c) {
        bool const is_name = c < 4 || c == 8 || c == 11;
        std::string const gap(width[c] - line[c].size(), ' ');
        text += is_name ? line[c] + gap : gap + line[c];
        text += "  ";
      }
      text.erase(text.find_last_not_of(' ') + 1);
      std::printf("%s\n", text.c_str());
    }
  }

 private:
  struct Line {
    Row row;
    int threads;
    std::string simd;
  };

  static double share(Row const& row) { return row.limit > 0 ? row.value / row.limit : 0; }
  static double ratio(Row const& row) { return row.peer_value > 0 ? row.value / row.peer_value : 0; }

  static std::string quoted(std::string const& text) {
    if (text.empty()) return "null";
    std::string result = "\"";
    for (char const c : text) {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
    return result + '"';
  }
  static std::string number(double value) {
    if (value == 0) return "null";
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
  }
  static std::string short_number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, value >= 1000 ? "%.0f" : "%.3g", value);
    return text;
  }
  static std::string percent(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f%%", 100 * value);
    return text;
  }

  Options options_;
  std::string hardware_;
  std::ofstream json_;
  std::vector<Line> rows_;
};

/// Runs a benchmark program: options, body(options, report), table, exit code.
template <class Body>
int run(int argc, char** argv, Body const& body) {
  for (int i = 1; i < argc; ++i)
    if (std::strcmp(argv[i], "--help") == 0) {
      std::printf("%s [OPTION VALUE]...\n%s", argv[0], usage);
      return 0;
    }
  try {
    Options const options = parse(argc, argv);
    Report report(options);
    body(options, report);
    report.print();
    return 0;
  } catch (std::invalid_argument const& error) {
    std::cerr << "error: " << error.what() << '\n' << usage;
    return 2;
  } catch (std::exception const& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace bench
