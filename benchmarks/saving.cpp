// Training that saves once in 50 steps beside training that does not: in the background, and waiting for the disk. What a
// save costs is measured over a few steps, in turns with as many that save nothing, so that a machine whose speed changes
// from minute to minute does not hide it. Checkpoints go below the folder for temporary files (TMPDIR).
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/random.hpp"
#include "aeth/model/model.hpp"
#include "aeth/train/saver.hpp"
#include "support/harness.hpp"

namespace {

constexpr int steps_per_save = 50;

/// Removes a folder when it goes out of scope.
struct Folder {
  std::string path = (std::filesystem::temp_directory_path() / "aeth-bench-saving").string();
  Folder() { std::filesystem::remove_all(path); }
  Folder(Folder const&) = delete;
  Folder& operator=(Folder const&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
};

/// steps_per_sample   in which a save is over, on the disk too
template <aeth::ModelConfig C, class P>
void save(bench::Options const& options, bench::Report& report, std::string const& name,
          aeth::Index batch_rows, aeth::Index length, int steps_per_sample) {
  std::string const config = aeth::text(name, ' ', batch_rows, 'x', length), precision(P::name);
  if (!report.wants("save", config, precision)) return;
  aeth::Cpu cpu(options.threads, options.level);
  aeth::Model<C, P> model(cpu);
  model.initialize(1);
  aeth::data::TokenCorpus corpus;
  aeth::Random random(1, aeth::RandomUse::test);
  for (aeth::Index i = 0; i < 8 * batch_rows * length; ++i)
    corpus.tokens.push_back(static_cast<std::int32_t>(random.below(C.vocab_size)));
  corpus.end_document();
  corpus.seal();
  aeth::train::Trainer trainer(model, {corpus, corpus},
                               {.batch_rows = batch_rows, .length = length, .steps = 1'000'000});
  Folder const folder;
  aeth::io::GenerationWriter background_folder(folder.path + "/background"),
      waiting_folder(folder.path + "/waiting");
  aeth::train::Saver background(trainer, background_folder, {.background = true});
  aeth::train::Saver waiting(trainer, waiting_folder, {.background = false});

  using aeth::train::SaveMoment;
  std::function<void(SaveMoment)> const none = [](SaveMoment) {};
  auto const seconds = [&](std::function<void(SaveMoment)> const& saving) {
    return bench::time_calls(
        bench::Clock::wall,
        [&] {
          for (int i = 0; i < steps_per_sample; ++i) {
            (void)trainer.step();
            saving(i == 0 ? SaveMoment::due : SaveMoment::between);
          }
        },
        1);
  };
  (void)seconds(std::ref(background));
  bench::Samples alone, with_background, with_waiting;  // of 50 steps
  double const share = static_cast<double>(steps_per_save) / steps_per_sample;
  for (int i = 0; i < 3 * options.samples; ++i) {
    double const none_here = seconds(none), in_background = seconds(std::ref(background));
    double const none_there = seconds(none), in_waiting = seconds(std::ref(waiting));
    double const plain = share * (none_here + none_there) / 2;
    alone.seconds.push_back(plain);
    with_background.seconds.push_back(plain + in_background - none_here);
    with_waiting.seconds.push_back(plain + in_waiting - none_there);
  }
  double const tokens = static_cast<double>(steps_per_save * batch_rows * length);
  // Of each round's own speed, then the median: rounds differ by more than a save costs.
  auto const ratio = [&](bench::Samples const& samples) {
    bench::Samples ratios;
    for (std::size_t i = 0; i < alone.seconds.size(); ++i)
      ratios.seconds.push_back(alone.seconds[i] / samples.seconds[i]);
    ratios.sort();
    return ratios.median();
  };
  double const ratios[] = {ratio(with_background), ratio(with_waiting)};
  alone.sort();
  for (bench::Samples* const samples : {&with_background, &with_waiting}) {
    samples->sort();
    double const without = tokens / alone.median();
    report.add({.bench = samples == &with_background ? "save.background" : "save.waiting",
                .config = config,
                .precision = precision,
                .unit = "tokens/s",
                .value = without * ratios[samples == &with_background ? 0 : 1],
                .least = tokens / samples->slowest(),
                .most = tokens / samples->fastest(),
                .samples = 3 * options.samples,
                .peer = "without saving",
                .peer_value = without});
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [](bench::Options const& options, bench::Report& report) {
    save<aeth::presets::tiny, aeth::Fp32>(options, report, "tiny", 2, 32, 32);
    save<aeth::presets::mini, aeth::Bf16>(options, report, "mini", 4, 256, 8);
  });
}
