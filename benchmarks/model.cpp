// Whole models: a training step, its forward half, prefill and decoding, for several configurations.
//
// Values are tokens per second. Their limit is the larger of two times: the FLOPs of config/model_card.hpp
// (matrix products only, attention in the expanded form) at the machine's peak of FP32 multiply-adds, or, in BF16,
// of BF16 dot products where the machine has an instruction for them; and, for decoding, the weights and cache that
// a step must read, at the bandwidth with which a buffer of their size can be read. So the share of the limit of a
// training step is what is often called model FLOPs utilisation.
//
// The peer models are those in whose shape other engines were measured. Their deep caches hold zeros.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/model_card.hpp"
#include "aeth/core/random.hpp"
#include "aeth/core/text.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/precision.hpp"
#include "aeth/train/trainer.hpp"
#include "support/configs.hpp"
#include "support/harness.hpp"
#include "support/inference_work.hpp"
#include "support/machine_peak.hpp"

namespace {

using aeth::Index;
using aeth::to_size;

struct Bench {
  bench::Options const& options;
  bench::Report& report;
  bench::MachinePeak& peak;
  aeth::Cpu& cpu;
};

std::vector<std::int32_t> random_tokens(Index count, Index vocab) {
  aeth::Random random(3, aeth::RandomUse::test);
  std::vector<std::int32_t> tokens(to_size(count));
  for (auto& token : tokens)
    token = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab)));
  return tokens;
}

template <aeth::ModelConfig C, class P>
class ModelBench {
  using Model = aeth::Model<C, P>;

 public:
  ModelBench(Bench const& b, std::string name) : b_(b), name_(std::move(name)) {}

  void run(Index batch_rows, Index length) {
    training(batch_rows, length);
    prefill(length);
    for (Index const batch : {Index{1}, Index{8}})
      for (Index const depth : {Index{0}, length - 1}) decode(batch, depth);
  }

  /// Inference of a model of the peers' size; depths are those of one sequence.
  void run_inference(std::vector<Index> const& depths) {
    for (Index const length : {Index{512}, Index{2048}}) prefill(length);
    for (Index const depth : depths) decode(1, depth);
    for (Index const batch : {Index{8}, Index{32}}) decode(batch, 0);
  }

  /// micro_rows: rows that go through at once; 0 = all of them.
  void training(Index batch_rows, Index length, Index micro_rows = 0) {
    std::string const config = aeth::text(name_, " ", batch_rows, "x", length);
    if (!wants("train.step", config) && !wants("train.forward", config)) return;
    aeth::data::TokenCorpus corpus;
    corpus.tokens = random_tokens(batch_rows * length * 8, C.vocab_size);
    corpus.end_document();
    corpus.seal();
    aeth::train::Trainer<Model> trainer(
        model(), {corpus, corpus},
        {.batch_rows = batch_rows, .micro_rows = micro_rows, .length = length, .steps = 1'000'000});
    double const tokens = static_cast<double>(batch_rows * length);
    double const context = static_cast<double>(length);
    if (wants("train.step", config))
      result("train.step", config, tokens, tokens * aeth::training_flops_per_token(C, context), 0,
             [&] { trainer.step(); });
    if (!wants("train.forward", config)) return;
    aeth::data::Batch batch;
    batch.resize(batch_rows, length, 1);
    batch.tokens = random_tokens(batch_rows * length, C.vocab_size);
    batch.targets = batch.tokens;
    for (Index row = 0; row < batch_rows; ++row)
      batch.segments.push_back(static_cast<std::int32_t>(row * length));
    result("train.forward", config, tokens, tokens * aeth::forward_flops_per_token(C, (context + 1) / 2), 0,
           [&] { (void)trainer.stepper().evaluate(batch, 0); });
  }

 private:
  [[nodiscard]] bool wants(std::string const& bench, std::string const& config) const {
    return b_.report.wants(bench, config, std::string(P::name));
  }

  Model& model() {
    if (!model_) {
      model_ = std::make_unique<Model>(b_.cpu);
      fill(*model_);
    }
    return *model_;
  }

  /// Weights of the variance that `Model::initialize` gives them, from a cheaper generator.
  static void fill(Model& model) {
    float const width = static_cast<float>(2 * std::sqrt(3.0) * C.init_std);
    std::uint32_t bits = 1;
    for (auto const& p : model.parameters())
      for (auto& w : model.weights().slice(p.offset, p.size())) {
        bits = bits * 1664525u + 1013904223u;
        w = p.kind == aeth::nn::ParameterKind::norm
                ? 1.0f
                : (static_cast<float>(bits >> 8) * 0x1p-24f - 0.5f) * width;
      }
    model.prepare();
  }

  /// `flop` and `bytes` of one call that processes `tokens`.
  template <class Body>
  void result(std::string const& bench, std::string const& config, double tokens, double flop, double bytes,
              Body const& body) {
    auto const times = measure(b_.options, body);
    auto const limit = bench::limit_of(b_.peak, P::name, flop, bytes, bytes);
    b_.report.add({.bench = bench,
                   .config = config,
                   .precision = std::string(P::name),
                   .unit = "tokens/s",
                   .value = tokens / times.median(),
                   .least = tokens / times.slowest(),
                   .most = tokens / times.fastest(),
                   .samples = static_cast<int>(times.seconds.size()),
                   .limit = tokens / limit.seconds,
                   .limited_by = limit.by,
                   .gflops = flop * 1e-9 / times.median()});
  }

  /// One prompt, logits of its last token only.
  void prefill(Index length) {
    for (auto const form : {aeth::infer::CacheForm::latent, aeth::infer::CacheForm::expanded}) {
      bool const latent = form == aeth::infer::CacheForm::latent;
      std::string const config = aeth::text(name_, " ", length, latent ? " latent" : " expanded");
      if (!wants("infer.prefill", config)) continue;
      aeth::infer::Session<Model> session(model(), 1, length, form);
      auto const tokens = random_tokens(length, C.vocab_size);
      auto const work = bench::prefill_work<C>(length);
      result("infer.prefill", config, static_cast<double>(length), work.flop, work.bytes, [&] {
        session.truncate(0, 0);
        session.append({{0, {tokens.data(), length}}});
      });
    }
  }

  /// One more token for each of `batch` sequences that have `depth` tokens.
  void decode(Index batch, Index depth) {
    std::string const config = aeth::text(name_, " batch ", batch, " depth ", depth);
    if (!wants("infer.decode", config)) return;
    aeth::infer::Session<Model> session(model(), batch, depth + 1);
    auto const tokens = random_tokens(batch, C.vocab_size);
    std::vector<aeth::infer::Chunk> step;
    for (Index s = 0; s < batch; ++s) {
      session.assume(s, depth);
      step.push_back({s, {tokens.data() + s, 1}});
    }
    auto const work = bench::decode_work<C, P>(batch, static_cast<double>(depth + 1));
    result("infer.decode", config, static_cast<double>(batch), work.flop, work.bytes, [&] {
      for (Index s = 0; s < batch; ++s) session.truncate(s, depth);
      session.decode(step);
    });
  }

  Bench b_;
  std::string name_;
  std::unique_ptr<Model> model_;
};

/// In each precision, one after the other: two such models need not fit into memory.
template <aeth::ModelConfig C>
void peer_model(Bench const& b, std::string const& name, std::vector<Index> const& depths) {
  ModelBench<C, aeth::Fp32>(b, name).run_inference(depths);
  ModelBench<C, aeth::Bf16>(b, name).run_inference(depths);
  ModelBench<C, aeth::Fp8>(b, name).run_inference(depths);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [](bench::Options const& options, bench::Report& report) {
    bench::report_peaks(options, report);
    bench::MachinePeak peak(options.level, options.threads);
    aeth::Cpu cpu(options.threads, options.level);
    Bench const b{options, report, peak, cpu};
    ModelBench<aeth::presets::mini, aeth::Fp32>(b, "mini").run(16, 256);
    ModelBench<aeth::presets::mini, aeth::Bf16>(b, "mini").run(16, 256);
    ModelBench<aeth::presets::mini, aeth::Fp8>(b, "mini").run(16, 256);
    ModelBench<bench::mini_v2, aeth::Fp32>(b, "mini_v2").run(16, 256);
    ModelBench<aeth::presets::tiny, aeth::Fp32>(b, "tiny").run(16, 64);
    peer_model<bench::peer_model_a>(b, "peer A", {0, 2048, 8192});
    peer_model<bench::peer_model>(b, "peer B", {0, 2048, 8192, 16384});
    ModelBench<bench::peer_model_3_layers, aeth::Fp32>(b, "peer B, 3 layers").training(8, 512, 2);
    ModelBench<bench::peer_model_3_layers, aeth::Bf16>(b, "peer B, 3 layers").training(8, 512, 2);
    ModelBench<bench::peer_model_3_layers, aeth::Fp8>(b, "peer B, 3 layers").training(8, 512, 2);
    bench::report_peak_again(options, report);
  });
}
