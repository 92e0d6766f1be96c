// Peak memory of training steps beside the prediction of config/training_memory.hpp, as a table for a page.
//
//   aeth_bench_training_memory           all cases
//   aeth_bench_training_memory tiny      those whose name contains it
//
// Each case runs in a process of its own: two steps, then the peak of resident memory (VmHWM of /proc/self/status)
// less what the process had before there was a model.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/training_memory.hpp"
#include "aeth/core/random.hpp"
#include "aeth/core/text.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/precision.hpp"
#include "aeth/train/trainer.hpp"
#include "support/configs.hpp"

namespace {

using aeth::Index;

/// Bytes of resident memory at its peak.
double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) * 1024;
  throw std::runtime_error("/proc/self/status has no line VmHWM; this program is for Linux");
}

std::string mebibytes(double bytes) {
  return aeth::fixed(bytes / 0x1p20, bytes < 0x1p20 * 10 ? 1 : 0);
}

template <aeth::ModelConfig C, class P>
void measure(std::string const& name, aeth::TrainingBatch const& size) {
  aeth::data::TokenCorpus corpus;
  aeth::Random random(3, aeth::RandomUse::test);
  for (Index i = 0; i < 4 * size.rows * size.length; ++i)
    corpus.tokens.push_back(static_cast<std::int32_t>(random.below(C.vocab_size)));
  corpus.end_document();
  corpus.seal();

  double const before = peak_memory();
  aeth::Cpu cpu;
  aeth::Model<C, P> model(cpu);
  model.initialize(1);
  aeth::train::Trainer trainer(
      model, {corpus, corpus},
      {.batch_rows = size.rows, .micro_rows = size.micro_rows, .length = size.length, .steps = 1000});
  for (int step = 0; step < 2; ++step) (void)trainer.step();
  double const measured = peak_memory() - before;

  aeth::TrainingMemory const m = aeth::training_memory(C, size, aeth::training_types<P>(), cpu.threads());
  std::string line = aeth::text("| ", name, " | ", P::name, " |");
  for (Index const part : {m.weights, m.packed, m.gradients, m.moments, m.activations, m.scratch, m.total()})
    line += ' ' + mebibytes(static_cast<double>(part)) + " |";
  double const difference = static_cast<double>(m.total()) / measured - 1.0;
  std::printf("%s %s | %+.1f %% |\n", line.c_str(), mebibytes(measured).c_str(), 100 * difference);
  std::fflush(stdout);
}

/// Whether the case was well, or not wanted.
template <aeth::ModelConfig C, class P>
bool in_new_process(std::string_view filter, std::string const& name, aeth::TrainingBatch const& size) {
  if (aeth::text(name, ' ', P::name).find(filter) == std::string::npos) return true;
  pid_t const child = fork();
  if (child < 0) throw std::runtime_error("cannot start a process");
  if (child == 0) {
    try {
      measure<C, P>(name, size);
      std::_Exit(0);
    } catch (std::exception const& error) {
      std::fprintf(stderr, "error: %s: %s\n", name.c_str(), error.what());
      std::_Exit(1);
    }
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

/// All precisions of a pack.
template <aeth::ModelConfig C, class... P>
bool each(std::string_view filter, std::string const& name, aeth::TrainingBatch const& size) {
  bool well = true;
  ((well = in_new_process<C, P>(filter, name, size) && well), ...);
  return well;
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view const filter = argc > 1 ? argv[1] : "";
  std::printf(
      "| MiB | precision | weights | packed | gradients | moments | activations | scratch | "
      "predicted "
      "| measured | difference |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
  std::fflush(stdout);
  try {
    using namespace aeth;
    bool well = each<presets::tiny, Fp32, Bf16, Fp8>(filter, "tiny 16x64", {.rows = 16, .length = 64});
    well = each<presets::mini, Fp32, Bf16, Fp8>(filter, "mini 16x256", {.rows = 16, .length = 256}) && well;
    well = each<presets::mini, Fp32, Bf16, Fp8>(filter, "mini 16x256 by 4",
                                                {.rows = 16, .length = 256, .micro_rows = 4}) &&
           well;
    well = each<bench::peer_model_3_layers, Fp32, Bf16, Fp8>(filter, "peer B, 3 layers, 8x512 by 2",
                                                             {.rows = 8, .length = 512, .micro_rows = 2}) &&
           well;
    // 14 GiB; in FP32 it is 20.
    well = each<bench::peer_model, Bf16, Fp8>(filter, "peer B, 8x512 by 2",
                                              {.rows = 8, .length = 512, .micro_rows = 2}) &&
           well;
    return well ? 0 : 1;
  } catch (std::exception const& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
