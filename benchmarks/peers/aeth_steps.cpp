// One contender of training.py: takes a training step for each line on standard input, and says how long it took.
//
// A step is forward, backward, clipping to a norm of 1 and AdamW, over the next rows of a file of tokens; no MTP, no
// balance loss, selection biases stay. Answers are `seconds loss gradient_norm` for `step` and `seconds loss` for
// `forward`, which changes nothing. An empty line or the end of input ends the program.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/buffer.hpp"
#include "aeth/core/random.hpp"
#include "aeth/interchange/hugging_face.hpp"
#include "aeth/interchange/to_hugging_face.hpp"
#include "aeth/io/file.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/precision.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/on_backend.hpp"
#include "aeth/optim/step.hpp"
#include "aeth/train/parameter_ranges.hpp"
#include "aeth/train/step.hpp"
#include "command_line.hpp"
#include "support/configs.hpp"

namespace {

using aeth::Index;
using aeth::to_size;

constexpr char usage[] =
    "aeth_steps make MODEL FOLDER                  write random weights as a Hugging Face folder\n"
    "aeth_steps run MODEL PRECISION FOLDER TOKENS  take the steps that standard input asks for\n"
    "  MODEL mini, middle or peer; PRECISION fp32 or bf16; TOKENS rows of length + 1 int32\n"
    "  --length N    tokens of a row that are read (256)\n"
    "  --rows N      rows of a step (16); the file's rows are taken in turns\n"
    "  --micro N     rows that go through at once (all)\n"
    "  --threads N   (all cores)\n";

constexpr double learning_rate = 1e-4;
constexpr aeth::optim::AdamWOptions adamw{
    .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1.0};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The batches of a file, in turns.
class Batches {
 public:
  Batches(std::string const& path, Index rows, Index length) : rows_(rows), length_(length) {
    std::string const bytes = aeth::io::read_file(path, std::uint64_t{1} << 32);
    tokens_.resize(bytes.size() / sizeof(std::int32_t));
    std::memcpy(tokens_.data(), bytes.data(), tokens_.size() * sizeof(std::int32_t));
    Index const all = static_cast<Index>(tokens_.size()) / (length + 1);
    if (bytes.size() != to_size(all * (length + 1)) * sizeof(std::int32_t) || all < rows || all % rows != 0)
      throw std::runtime_error(path + " does not hold a multiple of --rows rows of --length + 1 tokens");
    batch_.resize(rows, length, 1);
    for (Index row = 0; row < rows; ++row) batch_.segments.push_back(static_cast<std::int32_t>(row * length));
    read();
  }

  [[nodiscard]] aeth::data::Batch const& current() const { return batch_; }

  void advance() {
    first_ = (first_ + rows_) % (static_cast<Index>(tokens_.size()) / (length_ + 1));
    read();
  }

 private:
  void read() {
    for (Index row = 0; row < rows_; ++row)
      for (Index i = 0; i < length_; ++i) {
        std::int32_t const* const token = &tokens_[to_size((first_ + row) * (length_ + 1) + i)];
        batch_.tokens[to_size(row * length_ + i)] = token[0];
        batch_.targets[to_size(row * length_ + i)] = token[1];
      }
  }

  Index rows_, length_, first_ = 0;
  std::vector<std::int32_t> tokens_;
  aeth::data::Batch batch_;
};

template <aeth::ModelConfig C, class P>
class Contender {
  using Model = aeth::Model<C, P>;
  using Moment = typename P::Moment;

 public:
  Contender(aeth::Cpu& cpu, std::string const& folder, Index micro)
      : cpu_(cpu), model_(cpu), stepper_(model_, micro) {
    aeth::interchange::load_hugging_face(model_, folder);
    model_.enable_gradients();
    first_ = aeth::Buffer<Moment>(model_.weights().size);
    second_ = aeth::Buffer<Moment>(model_.weights().size);
    ranges_ = aeth::train::parameter_ranges(model_.parameters(), false);
  }

  void step(aeth::data::Batch const& batch) {
    auto const begin = std::chrono::steady_clock::now();
    auto const loss = stepper_.gradients(batch, {.mtp_weight = 0.0, .balance_weight = 0.0});
    double const norm = std::sqrt(cpu_.sum_of_squares(model_.gradients().data, model_.gradients().size));
    auto const span = []<class X>(aeth::VectorView<X> v) { return std::span<X>(v.data, to_size(v.size)); };
    aeth::optim::OptimizerState<float, Moment> state{span(first_.view()), span(second_.view()), steps_};
    aeth::optim::apply_step(aeth::optim::OnBackend(adamw_, cpu_), span(model_.weights()),
                            std::span<float const>(span(model_.gradients())), state,
                            std::span<aeth::optim::ParameterRange const>(ranges_), learning_rate, norm);
    model_.prepare();
    ++steps_;
    std::printf("%.9g %.9g %.9g\n", seconds_since(begin), loss.main, norm);
  }

  void forward(aeth::data::Batch const& batch) {
    auto const begin = std::chrono::steady_clock::now();
    double const loss = stepper_.evaluate(batch, 0).main;
    std::printf("%.9g %.9g\n", seconds_since(begin), loss);
  }

 private:
  aeth::Cpu& cpu_;
  Model model_;
  aeth::train::Stepper<Model> stepper_;
  aeth::optim::AdamW adamw_{adamw};
  aeth::Buffer<Moment> first_, second_;
  std::vector<aeth::optim::ParameterRange> ranges_;
  Index steps_ = 0;
};

/// Random weights, and selection biases that are not 0, so that a contender that leaves them out is found.
template <aeth::ModelConfig C>
void make(bench::CommandLine const& line) {
  aeth::Cpu cpu(line.threads());
  aeth::Model<C, aeth::Fp32> model(cpu);
  model.initialize(1);
  aeth::Random random(2, aeth::RandomUse::test);
  auto const biases = model.biases();
  for (Index layer = 0; layer < biases.rows; ++layer)
    for (Index expert = 0; expert < biases.cols; ++expert)
      biases(layer, expert) = static_cast<float>(random.normal() * 0.01);
  aeth::interchange::save_hugging_face(model, nullptr, line.word(2, "FOLDER"),
                                       {.type = aeth::interchange::WeightType::f32});
}

template <aeth::ModelConfig C, class P>
void run(bench::CommandLine const& line) {
  Index const rows = line.count("rows", 16);
  Batches batches(line.word(4, "TOKENS"), rows, line.count("length", 256));
  aeth::Cpu cpu(line.threads());
  Contender<C, P> contender(cpu, line.word(3, "FOLDER"), line.count("micro", rows));
  std::puts("ready");
  std::fflush(stdout);
  for (std::string word; std::getline(std::cin, word) && !word.empty();) {
    if (word == "step") {
      contender.step(batches.current());
      batches.advance();
    } else if (word == "forward") {
      contender.forward(batches.current());
    } else {
      throw std::runtime_error("neither step nor forward: " + word);
    }
    std::fflush(stdout);
  }
}

template <aeth::ModelConfig C>
void with_model(bench::CommandLine const& line) {
  if (line.word(0, "make or run") == "make") return make<C>(line);
  bench::with_precision(line.word(2, "PRECISION"), [&]<class P>() { run<C, P>(line); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, usage, [](bench::CommandLine const& line) {
    std::string const& model = line.word(1, "MODEL");
    if (model == "mini") return with_model<bench::mini_alone>(line);
    if (model == "middle") return with_model<bench::middle_model>(line);
    if (model == "peer") return with_model<bench::peer_model>(line);
    throw std::invalid_argument("there is no model " + model);
  });
}
