// What precisions cost in quality: the same model trained on the same batches from the same weights, once per arithmetic
// and seed, and a table of paired differences.
//
//   aeth_bench_precision_quality train MODEL ARITHMETIC SEED --steps N --text FOLDER --results FILE   adds a line to FILE
//   aeth_bench_precision_quality table FILE                                             Markdown, from all lines
//   aeth_bench_precision_quality picture FILE MODEL PICTURE.svg                         losses beside BF16's
//   aeth_bench_precision_quality gradients MODEL --steps N --text FOLDER                gradients beside FP32's
//
// MODEL: tiny, micro (the demonstration's), mini. ARITHMETIC: one of `arithmetics` below. A line that is there already is
// not trained again, so that scripts/precision-quality goes on where it was stopped.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/text.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/data/packing.hpp"
#include "aeth/data/split.hpp"
#include "aeth/data/text_source.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/f8_arithmetic.hpp"
#include "aeth/train/svg_plot.hpp"
#include "aeth/train/trainer.hpp"
#include "peers/command_line.hpp"

namespace {

using aeth::Index;

/// Steps whose losses are one point of a curve, and the last of which are the final loss.
constexpr Index steps_per_point = 10, final_points = 5;

/// FP8 with what it narrows beside its products left wide: AdamW's moments; activations kept for the way back.
struct WideMoments : aeth::Fp8 {
  using Moment = float;
};
struct WideKept : aeth::Fp8 {
  using Kept = aeth::bf16;
};

struct Arithmetic {
  char const* name;
  char const* precision;
  aeth::F8Arithmetic f8;
  char const* meaning;
};
constexpr Arithmetic arithmetics[] = {
    {"fp32", "fp32", {}, "FP32"},
    {"bf16", "bf16", {}, "BF16"},
    {"fp8", "fp8", {}, "FP8, the recipe"},
    {"fp8-powers", "fp8", {.scales = aeth::ScaleForm::power_of_two}, "FP8, scales powers of two"},
    {"fp8-square", "fp8", {.square_tiles = true}, "FP8, activations in tiles of 128 x 128"},
    {"fp8-14", "fp8", {.accumulator_bits = 14}, "FP8, sums of 14 bits, promoted every 128"},
    {"fp8-14-whole", "fp8", {.accumulator_bits = 14, .promote = false}, "FP8, sums of 14 bits, not promoted"},
    {"fp8-wide-moments", "fp8", {}, "FP8, moments in FP32"},
    {"fp8-wide-kept", "fp8", {}, "FP8, activations kept in BF16"},
};

/// Calls `body` with the precision policy of an arithmetic.
template <class Body>
void with_policy(Arithmetic const& a, Body const& body) {
  if (a.name == std::string("fp8-wide-moments")) return body.template operator()<WideMoments>();
  if (a.name == std::string("fp8-wide-kept")) return body.template operator()<WideKept>();
  bench::with_precision(a.precision, body);
}

Arithmetic const& arithmetic(std::string const& name) {
  for (Arithmetic const& a : arithmetics)
    if (name == a.name) return a;
  throw std::invalid_argument("there is no arithmetic " + name);
}

/// A training run: the mean losses of each steps_per_point steps, the validation loss at the end.
struct Run {
  std::string model, arithmetic;
  Index seed = 0, steps = 0;
  double validation = 0, seconds = 0;
  std::vector<double> losses;

  [[nodiscard]] double final_loss() const {
    double sum = 0;
    Index const points = std::min<Index>(final_points, static_cast<Index>(losses.size()));
    for (Index i = 0; i < points; ++i) sum += losses[losses.size() - 1 - aeth::to_size(i)];
    return sum / static_cast<double>(points);
  }
};

/// A line: the fields in the order above, separated by blanks.
std::vector<Run> read_runs(std::string const& path) {
  std::vector<Run> runs;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Run run;
    if (!(words >> run.model >> run.arithmetic >> run.seed >> run.steps >> run.validation >> run.seconds))
      throw std::runtime_error(path + ": not a line of results: " + line);
    for (double loss = 0; words >> loss;) run.losses.push_back(loss);
    if (run.losses.empty()) throw std::runtime_error(path + ": a line without losses: " + line);
    runs.push_back(run);
  }
  return runs;
}

/// What all runs train on and validate with, as tokens of a vocabulary learned from it.
struct Text {
  aeth::data::TokenCorpus training, validation;
  std::int32_t end_of_sequence = 0;

  Text(std::string const& folder, int vocab_size) {
    aeth::data::TextSourceOptions const files{
        .files = {.patterns = {"*.h", "*.hpp", "*.tcc", "*.txt", std::string(aeth::io::no_extension)}}};
    auto split = aeth::data::split_documents(aeth::data::read_text_source(folder, files),
                                             aeth::data::SplitOptions{.fraction = 0.05});
    aeth::data::BpeTrainer counts;
    for (auto const& document : split.training) counts.add(document.text);
    auto const tokenizer = counts.train({.vocab_size = vocab_size});
    training = aeth::data::pack(split.training, tokenizer);
    validation = aeth::data::pack(split.validation, tokenizer);
    end_of_sequence = tokenizer.special_tokens().eos;
  }
  [[nodiscard]] aeth::train::TrainingData data() const { return {training, validation, 0, end_of_sequence}; }
};

template <aeth::ModelConfig C>
aeth::train::TrainerOptions options_of_runs(Index steps, std::uint64_t seed) {
  return {.batch_rows = 8,
          .length = std::min<Index>(256, C.max_context),
          .steps = steps,
          .learning_rate = 3e-3,
          .loss = {.mtp_weight = 0.1},
          .validate_every = 0,
          .seed = seed};
}

template <aeth::ModelConfig C, class P>
void train(Run& run, Arithmetic const& how, std::string const& folder, int threads) {
  Text const text(folder, C.vocab_size);
  aeth::Cpu cpu(threads);
  cpu.set_f8_arithmetic(how.f8);
  aeth::Model<C, P> model(cpu);
  auto const seed = static_cast<std::uint64_t>(run.seed);
  model.initialize(seed);
  double sum = 0;
  auto options = options_of_runs<C>(run.steps, seed);
  options.report = [&](aeth::train::Progress const& p) {
    sum += p.loss.main;
    if (p.step % steps_per_point == 0)
      run.losses.push_back(std::exchange(sum, 0.0) / static_cast<double>(steps_per_point));
    if (p.step % 100 == 0) {
      std::printf("%s %s seed %td: step %td, loss %.4f\n", run.model.c_str(), how.name, run.seed, p.step,
                  run.losses.back());
      std::fflush(stdout);
    }
  };
  aeth::train::Trainer trainer(model, text.data(), options);
  trainer.run();
  run.validation = trainer.validate_now().loss();
  run.seconds = trainer.state().seconds;
}

template <aeth::ModelConfig C>
void train(Run& run, Arithmetic const& how, std::string const& folder, int threads) {
  with_policy(how, [&]<class P>() { train<C, P>(run, how, folder, threads); });
}

/// Calls `body` with a configuration as template argument.
template <class Body>
void with_model(std::string const& name, Body const& body) {
  if (name == "tiny") return body.template operator()<aeth::presets::tiny>();
  if (name == "micro") return body.template operator()<aeth::presets::micro>();
  if (name == "mini") return body.template operator()<aeth::presets::mini>();
  throw std::invalid_argument("there is no model " + name);
}

std::string text_folder(bench::CommandLine const& line) {
  std::string const folder = line.option("text", "");
  if (folder.empty()) throw std::invalid_argument("--text FOLDER is missing");
  return folder;
}

void train(bench::CommandLine const& line) {
  Run run;
  run.model = line.word(1, "MODEL");
  run.arithmetic = line.word(2, "ARITHMETIC");
  run.seed = bench::CommandLine::to_count(line.word(3, "SEED"));
  run.steps = line.count("steps", 1000);
  if (run.steps < steps_per_point)
    throw std::invalid_argument(aeth::text("--steps must be at least ", steps_per_point));
  Arithmetic const& how = arithmetic(run.arithmetic);
  std::string const results = line.option("results", ""), folder = text_folder(line);
  if (results.empty()) throw std::invalid_argument("--results FILE is missing");
  for (Run const& done : read_runs(results))
    if (done.model == run.model && done.arithmetic == run.arithmetic && done.seed == run.seed &&
        done.steps == run.steps)
      return;
  with_model(run.model, [&]<aeth::ModelConfig C>() { train<C>(run, how, folder, line.threads()); });
  std::string out = aeth::text(run.model, ' ', run.arithmetic, ' ', run.seed, ' ', run.steps, ' ',
                               run.validation, ' ', run.seconds);
  for (double const loss : run.losses) out += aeth::text(' ', loss);
  std::ofstream file(results, std::ios::app);
  file << out << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + results);
}

struct Moments {
  Index count = 0;
  double mean = 0, deviation = 0;
};
Moments moments(std::vector<double> const& values) {
  Moments m{.count = static_cast<Index>(values.size())};
  for (double const v : values) m.mean += v / static_cast<double>(m.count);
  if (m.count < 2) return m;
  for (double const v : values) m.deviation += (v - m.mean) * (v - m.mean) / static_cast<double>(m.count - 1);
  m.deviation = std::sqrt(m.deviation);
  return m;
}

/// The run of BF16 with the same model, seed and steps; null if there is none.
Run const* partner(std::vector<Run> const& runs, Run const& run) {
  for (Run const& other : runs)
    if (other.arithmetic == "bf16" && other.model == run.model && other.seed == run.seed &&
        other.steps == run.steps)
      return &other;
  return nullptr;
}

std::vector<std::string> models_of(std::vector<Run> const& runs) {
  std::vector<std::string> names;
  for (Run const& run : runs)
    if (std::find(names.begin(), names.end(), run.model) == names.end()) names.push_back(run.model);
  return names;
}

/// The lengths of a model's runs, ascending.
std::vector<Index> lengths_of(std::vector<Run> const& runs, std::string const& model) {
  std::vector<Index> lengths;
  for (Run const& run : runs)
    if (run.model == model) lengths.push_back(run.steps);
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

std::string percent(double share) {
  return (share >= 0 ? "+" : "") + aeth::fixed(100 * share, 3);
}

/// A mean of differences in percent, and its standard error where there are several.
std::string with_error(Moments const& m) {
  if (m.count == 0) return "–";
  std::string const mean = percent(m.mean);
  if (m.count < 2) return mean;
  return mean + " ± " + aeth::fixed(100 * m.deviation / std::sqrt(static_cast<double>(m.count)), 3);
}

/// The row of a model's runs of one length in one arithmetic; none if there are no such runs.
void table_row(std::vector<Run> const& runs, std::string const& model, Index steps, Arithmetic const& a) {
  std::vector<double> losses, validations, differences, validation_differences;
  for (Run const& run : runs) {
    if (run.model != model || run.steps != steps || run.arithmetic != a.name) continue;
    losses.push_back(run.final_loss());
    validations.push_back(run.validation);
    Run const* const other = partner(runs, run);
    if (other == nullptr || other == &run) continue;
    differences.push_back(run.final_loss() / other->final_loss() - 1);
    validation_differences.push_back(run.validation / other->validation - 1);
  }
  if (losses.empty()) return;
  Moments const loss = moments(losses), difference = moments(differences),
                validation = moments(validation_differences);
  std::printf("| %s, %td steps | %s | %td | %s ± %s | %s | %s | %s | %s |\n", model.c_str(), steps, a.meaning,
              loss.count, aeth::fixed(loss.mean, 4).c_str(), aeth::fixed(loss.deviation, 4).c_str(),
              with_error(difference).c_str(),
              difference.count < 2 ? "–" : aeth::fixed(100 * difference.deviation, 3).c_str(),
              aeth::fixed(moments(validations).mean, 4).c_str(), with_error(validation).c_str());
}

void table(std::string const& path) {
  auto const runs = read_runs(path);
  if (runs.empty()) throw std::runtime_error(path + ": no results");
  std::printf(
      "| model | arithmetic | seeds | final loss, spread over seeds "
      "| beside BF16, %% (paired; ± standard error) | spread of that over seeds, %% "
      "| validation loss | beside BF16, %% |\n"
      "|---|---|---|---|---|---|---|---|\n");
  for (std::string const& model : models_of(runs))
    for (Index const steps : lengths_of(runs, model))
      for (Arithmetic const& a : arithmetics) table_row(runs, model, steps, a);
}

/// A model between two steps: FP32 weights and selection biases.
struct State {
  std::vector<float> weights, biases;
};

/// The loss of a batch and the gradients of all weights.
struct Gradients {
  double loss = 0;
  std::vector<float> values;
};

template <aeth::ModelConfig C>
State trained_state(Text const& text, Index steps, int threads) {
  aeth::Cpu cpu(threads);
  aeth::Model<C, aeth::Fp32> model(cpu);
  model.initialize(1);
  aeth::train::Trainer trainer(model, text.data(), options_of_runs<C>(steps, 1));
  trainer.run();
  auto const weights = model.weights();
  auto const biases = model.biases();
  return {{weights.begin(), weights.end()}, {biases.data, biases.data + biases.rows * biases.cols}};
}

/// Of the first batch in the order of the text that `seed` gives. (The step that computes them is thrown away with the model.)
template <aeth::ModelConfig C, class P>
Gradients gradients_at(State const& state, Text const& text, Arithmetic const& how, std::uint64_t seed,
                       int threads) {
  aeth::Cpu cpu(threads);
  cpu.set_f8_arithmetic(how.f8);
  aeth::Model<C, P> model(cpu);
  std::copy(state.weights.begin(), state.weights.end(), model.weights().data);
  std::copy(state.biases.begin(), state.biases.end(), model.biases().data);
  model.prepare();
  aeth::train::Trainer trainer(model, text.data(), options_of_runs<C>(Index{1}, seed));
  double const loss = trainer.step().loss.main;
  auto const gradients = model.gradients();
  return {loss, {gradients.begin(), gradients.end()}};
}

/// Gradients of the same batches at the same weights in each arithmetic, beside FP32's: what one step sees of rounding,
/// without what many steps make of any difference. With g of FP32 and o, each all weights' gradients as one vector, rows have
/// the means over batches of |o - g| / |g| and of o·g / |g|².
template <aeth::ModelConfig C>
void gradients(Index steps, std::string const& folder, int threads) {
  constexpr std::uint64_t batches = 4, first_seed = 101;
  Text const text(folder, C.vocab_size);
  State const trained = trained_state<C>(text, steps, threads);
  auto const of_batch = [&](Arithmetic const& how, std::uint64_t seed) {
    Gradients result;
    with_policy(how, [&]<class P>() { result = gradients_at<C, P>(trained, text, how, seed, threads); });
    return result;
  };
  std::vector<Gradients> exact;
  for (std::uint64_t b = 0; b <= batches; ++b) exact.push_back(of_batch(arithmetic("fp32"), first_seed + b));
  std::printf(
      "| gradient | loss beside FP32's, %% | distance from FP32's gradient, %% of its norm "
      "| what it has of FP32's gradient, %% |\n|---|---|---|---|\n");
  auto const row = [&](char const* name, auto const& of) {
    double loss = 0, distance = 0, along = 0;
    for (std::uint64_t b = 0; b < batches; ++b) {
      Gradients const other = of(b);
      double norm = 0, apart = 0, product = 0;
      for (std::size_t i = 0; i < other.values.size(); ++i) {
        auto const g = static_cast<double>(exact[b].values[i]), o = static_cast<double>(other.values[i]);
        norm += g * g;
        apart += (o - g) * (o - g);
        product += o * g;
      }
      loss += (other.loss / exact[b].loss - 1) / batches;
      distance += std::sqrt(apart / norm) / batches;
      along += product / norm / batches;
    }
    std::printf("| %s | %s | %s | %s |\n", name, percent(loss).c_str(),
                aeth::fixed(100 * distance, 2).c_str(), aeth::fixed(100 * along, 2).c_str());
  };
  for (Arithmetic const& a : arithmetics)
    if (a.name != std::string("fp32"))
      row(a.meaning, [&](std::uint64_t b) { return of_batch(a, first_seed + b); });
  row("FP32, another batch", [&](std::uint64_t b) { return exact[b + 1]; });
}

/// What a model's runs of one length in one arithmetic lose beside BF16's, the mean of all seeds, smoothed; without points if
/// there are no such pairs.
aeth::train::Series difference_line(std::vector<Run> const& runs, std::string const& model, Index steps,
                                    Arithmetic const& a) {
  std::vector<double> sum;
  double count = 0;
  for (Run const& run : runs) {
    Run const* const other = partner(runs, run);
    if (run.model != model || run.steps != steps || run.arithmetic != a.name || other == nullptr) continue;
    sum.resize(run.losses.size());
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += 100 * (run.losses[i] / other->losses[i] - 1);
    ++count;
  }
  aeth::train::Series line{.name = a.meaning};
  for (std::size_t i = 0; i < sum.size(); ++i) {
    double const mean = sum[i] / count, before = i == 0 ? mean : line.y.back();
    line.x.push_back(static_cast<double>(steps_per_point) * static_cast<double>(i + 1));
    line.y.push_back(before + 0.1 * (mean - before));
  }
  return line;
}

/// For each arithmetic the difference from BF16's loss over the steps; runs of different lengths apart.
void picture(std::string const& path, std::string const& model, std::string const& to) {
  auto const runs = read_runs(path);
  auto const lengths = lengths_of(runs, model);
  std::vector<aeth::train::Series> lines;
  for (Index const steps : lengths)
    for (Arithmetic const& a : arithmetics) {
      if (a.name == std::string("bf16")) continue;
      aeth::train::Series line = difference_line(runs, model, steps, a);
      if (line.x.empty()) continue;
      if (lengths.size() > 1) line.name += aeth::text(", ", steps, " steps");
      line.dashed = lines.size() >= aeth::train::svg::palette.size();
      lines.push_back(line);
    }
  if (lines.empty())
    throw std::runtime_error(path + ": no results of " + model + " that have one of BF16 beside them");
  std::ofstream file(to);
  file << aeth::train::line_plot({.title = "Training loss beside BF16's",
                                  .subtitle = aeth::text("model ", model, ", mean over seeds, smoothed"),
                                  .x_label = "step",
                                  .y_label = "difference, %"},
                                 lines);
  if (!file.flush()) throw std::runtime_error("cannot write " + to);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr char const* usage =
      "aeth_bench_precision_quality train MODEL ARITHMETIC SEED --results FILE [--steps N] [--text FOLDER] "
      "[--threads N]\n"
      "aeth_bench_precision_quality table FILE\n"
      "aeth_bench_precision_quality picture FILE MODEL PICTURE.svg\n"
      "aeth_bench_precision_quality gradients MODEL --text FOLDER [--steps N] [--threads N]\n";
  return bench::run_program(argc, argv, usage, [](bench::CommandLine const& line) {
    std::string const& what = line.word(0, "what to do");
    if (what == "train") return train(line);
    if (what == "table") return table(line.word(1, "FILE"));
    if (what == "picture")
      return picture(line.word(1, "FILE"), line.word(2, "MODEL"), line.word(3, "PICTURE"));
    if (what == "gradients")
      return with_model(line.word(1, "MODEL"), [&]<aeth::ModelConfig C>() {
        gradients<C>(line.count("steps", 60), text_folder(line), line.threads());
      });
    throw std::invalid_argument("there is no " + what);
  });
}
