// Loading a checkpoint in shards beside reading its bytes alone, from a disk whose cache is dropped before each sample, and
// the most memory that loading needs beside the model's. "8 GB" runs only when the filter names it: it needs 20 GiB of
// memory, and 8 GB of disk below the folder for temporary files (TMPDIR).
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/interchange/hugging_face.hpp"
#include "aeth/interchange/to_hugging_face.hpp"
#include "aeth/model/model.hpp"
#include "support/harness.hpp"

namespace {

/// 2.05 billion parameters in 32 bits, most of them experts of V2-Lite's size.
inline constexpr aeth::ModelConfig eight_gb =
    aeth::with(aeth::presets::deepseek_v2_lite, [](aeth::ModelConfig& c) {
      c.vocab_size = 65536;
      c.layers = 4;
    });

/// Bytes of the process that are in memory now ("VmRSS") or were at most since the last reset ("VmHWM").
double resident(std::string const& which) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(which)) return 1024 * std::stod(line.substr(which.size() + 1));
  return 0;
}

/// Removes a folder when it goes out of scope.
struct Folder {
  std::string path = (std::filesystem::temp_directory_path() / "aeth-bench-loading").string();
  Folder() { std::filesystem::remove_all(path); }
  Folder(Folder const&) = delete;
  Folder& operator=(Folder const&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }

  /// So that the next reader asks the disk.
  void drop_cache() const {
    for (auto const& entry : std::filesystem::directory_iterator(path)) {
      int const file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
      ::fsync(file);
      ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
      ::close(file);
    }
  }
};

/// All bytes of all tensors, in pieces of 512 KiB on all threads: the least that loading can take.
void read_all(aeth::Cpu& cpu, std::string const& path) {
  aeth::io::TensorFiles const files(path);
  constexpr std::uint64_t piece = std::uint64_t{1} << 19;
  std::vector<std::pair<aeth::io::StoredTensor const*, std::uint64_t>> pieces;
  for (auto const& t : files.tensors())
    for (std::uint64_t at = 0; at < t.size; at += piece) pieces.emplace_back(&t, at);
  std::vector<std::vector<std::byte>> buffers(aeth::to_size(cpu.threads()), std::vector<std::byte>(piece));
  cpu.parallel(static_cast<aeth::Index>(pieces.size()), [&](aeth::Index i, int thread) {
    auto const [tensor, at] = pieces[aeth::to_size(i)];
    files.read(*tensor, at,
               std::span(buffers[aeth::to_size(thread)]).first(std::min(piece, tensor->size - at)));
  });
}

template <aeth::ModelConfig C>
void load(bench::Options const& options, bench::Report& report, std::string const& name) {
  if (!report.wants("load", name, "fp32")) return;
  Folder const folder;
  aeth::Cpu cpu(options.threads, options.level);
  aeth::Model<C, aeth::Fp32> model(cpu);
  for (aeth::Index i = 0; i < model.weights().size; ++i)
    model.weights()[i] = static_cast<float>(i % 8191 - 4095) * 1e-5f;
  aeth::interchange::save_hugging_face(
      model, nullptr, folder.path,
      {.type = aeth::interchange::WeightType::f32, .shard_bytes = 1'000'000'000});
  double const before = resident("VmRSS");
  std::ofstream("/proc/self/clear_refs") << 5;
  bench::Samples loading, reading;
  for (int i = 0; i < options.samples; ++i) {
    folder.drop_cache();
    reading.seconds.push_back(bench::time_calls(
        bench::Clock::wall, [&] { read_all(cpu, folder.path); }, 1));
    folder.drop_cache();
    loading.seconds.push_back(bench::time_calls(
        bench::Clock::wall, [&] { (void)aeth::interchange::load_hugging_face(model, folder.path); }, 1));
  }
  loading.sort();
  reading.sort();
  double const gigabytes = static_cast<double>(model.weights().size) * 4e-9, peak = resident("VmHWM");
  report.add({.bench = "load",
              .config = name,
              .precision = "fp32",
              .unit = "GB/s",
              .value = gigabytes / loading.median(),
              .least = gigabytes / loading.slowest(),
              .most = gigabytes / loading.fastest(),
              .samples = options.samples,
              .limit = gigabytes / reading.median(),
              .limited_by = "reading the bytes"});
  report.add({.bench = "load.memory",
              .config = name,
              .precision = "fp32",
              .unit = "model bytes per peak byte",
              .value = before / peak,
              .least = before / peak,
              .most = before / peak,
              .samples = 1,
              .limit = 1,
              .limited_by = "memory"});
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [](bench::Options const& options, bench::Report& report) {
    load<aeth::presets::medium>(options, report, "medium");
    if (options.filter.find("8 GB") != std::string::npos) load<eight_gb>(options, report, "8 GB");
  });
}
