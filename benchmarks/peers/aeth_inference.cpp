// One contender of inference.py: prefill and decoding of a model from a GGUF file, timed.
//
// Lines on standard input: `prefill N` processes a prompt of N tokens and makes the logits of its last one;
// `decode DEPTH N` makes the logits of N more tokens, one at a time, after DEPTH tokens that do not count. Each is
// answered by its seconds. `limit prefill N` and `limit decode DEPTH N` are answered by the seconds that the machine,
// measured at that moment, needs at least for the same. `cache FORM`, latent or expanded, starts anew with that form.
// An empty line or the end of input ends the program.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/random.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/interchange/gguf.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/precision.hpp"
#include "command_line.hpp"
#include "support/configs.hpp"
#include "support/inference_work.hpp"
#include "support/machine_peak.hpp"

namespace {

using aeth::Index;
using aeth::to_size;

constexpr char usage[] =
    "aeth_inference MODEL PRECISION FILE.gguf   MODEL mini, peer or peer_a; PRECISION fp32, bf16 or fp8\n"
    "  --cache FORM    latent or expanded: what is kept of past tokens (latent)\n"
    "  --capacity N    tokens that the cache has room for (4096)\n"
    "  --threads N     (all cores)\n"
    "aeth_inference make MODEL FILE.gguf        write random weights\n"
    "  --weights TYPE  f32 or bf16 (f32)\n";

template <aeth::ModelConfig C, class P>
class Contender {
  using Model = aeth::Model<C, P>;

 public:
  Contender(aeth::Cpu& cpu, std::string const& file, Index capacity, aeth::infer::CacheForm form)
      : cpu_(cpu), model_(cpu) {
    aeth::interchange::load_gguf(model_, file);
    model_.release_masters();
    aeth::Random random(3, aeth::RandomUse::test);
    for (Index i = 0; i < capacity; ++i)
      tokens_.push_back(static_cast<std::int32_t>(random.below(std::uint64_t{C.vocab_size})));
    cache(form);
  }

  /// What is kept of past tokens from now on; forgets all of them.
  void cache(aeth::infer::CacheForm form) {
    if (session_ && form == form_) return;
    form_ = form;
    session_.reset();
    session_ =
        std::make_unique<aeth::infer::Session<Model>>(model_, 1, static_cast<Index>(tokens_.size()), form);
  }

  double prefill(Index count) {
    session_->truncate(0, 0);
    auto const begin = std::chrono::steady_clock::now();
    append(0, count);
    return seconds_since(begin);
  }

  /// Seconds that the machine at hand needs at least for prefill(count), as it is now.
  double prefill_limit(Index count) const { return limit(bench::prefill_work<C>(count)); }

  double decode(Index depth, Index count) {
    // What is there of the same tokens stays.
    session_->truncate(0, aeth::min(depth, session_->length(0)));
    if (session_->length(0) < depth) append(session_->length(0), depth - session_->length(0));
    auto const begin = std::chrono::steady_clock::now();
    for (Index i = 0; i < count; ++i) session_->decode(chunk(depth + i, 1));
    return seconds_since(begin);
  }

  /// Seconds that the machine at hand needs at least for decode(depth, count), as it is now.
  double decode_limit(Index depth, Index count) const {
    double const n = static_cast<double>(count);
    return n * limit(bench::decode_work<C, P>(1, static_cast<double>(depth) + (n + 1) / 2));
  }

 private:
  /// Measures the machine anew.
  double limit(bench::InferenceWork const& work) const {
    bench::MachinePeak peak(cpu_.level(), cpu_.threads(), bench::Taken::median);
    return bench::limit_of(peak, P::name, work.flop, work.bytes, work.bytes).seconds;
  }

  static double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  void append(Index first, Index count) { session_->append(chunk(first, count)); }

  std::vector<aeth::infer::Chunk> const& chunk(Index first, Index count) {
    if (first + count > static_cast<Index>(tokens_.size()))
      throw std::runtime_error("more tokens than --capacity");
    chunks_.assign(1, {0, {tokens_.data() + first, count}});
    return chunks_;
  }

  aeth::Cpu& cpu_;
  Model model_;
  std::unique_ptr<aeth::infer::Session<Model>> session_;
  std::vector<std::int32_t> tokens_;
  std::vector<aeth::infer::Chunk> chunks_;
  aeth::infer::CacheForm form_ = aeth::infer::CacheForm::latent;
};

aeth::infer::CacheForm cache_form(std::string const& name) {
  if (name == "latent") return aeth::infer::CacheForm::latent;
  if (name == "expanded") return aeth::infer::CacheForm::expanded;
  throw std::invalid_argument("there is no cache form " + name);
}

template <aeth::ModelConfig C, class P>
void run(bench::CommandLine const& line) {
  aeth::Cpu cpu(line.threads());
  Contender<C, P> contender(cpu, line.word(2, "FILE.gguf"), line.count("capacity", 4096),
                            cache_form(line.option("cache", "latent")));
  std::puts("ready");
  std::fflush(stdout);
  for (std::string text; std::getline(std::cin, text) && !text.empty();) {
    std::istringstream words(text);
    std::string what, form;
    Index depth = 0, count = 0;
    words >> what;
    bool const limit = what == "limit";
    if (limit) words >> what;
    if (!limit && what == "cache" && words >> form) {
      contender.cache(cache_form(form));
      std::puts("0");
    } else if (what == "prefill" && words >> count && count > 0) {
      std::printf("%.9g\n", limit ? contender.prefill_limit(count) : contender.prefill(count));
    } else if (what == "decode" && words >> depth >> count && depth >= 0 && count > 0) {
      std::printf("%.9g\n", limit ? contender.decode_limit(depth, count) : contender.decode(depth, count));
    } else {
      throw std::runtime_error("none of `[limit] prefill N`, `[limit] decode DEPTH N` and `cache FORM`: " +
                               text);
    }
    std::fflush(stdout);
  }
}

template <aeth::ModelConfig C>
void make(bench::CommandLine const& line) {
  aeth::Cpu cpu(line.threads());
  aeth::Model<C, aeth::Fp32> model(cpu);
  model.initialize(1);
  std::string const weights = line.option("weights", "f32");
  if (weights != "f32" && weights != "bf16") throw std::invalid_argument("there are no weights " + weights);
  aeth::interchange::save_gguf(model, line.word(2, "FILE.gguf"),
                               {.weights = weights == "bf16" ? aeth::interchange::GgufWeights::bf16
                                                             : aeth::interchange::GgufWeights::f32});
}

template <aeth::ModelConfig C>
void with_model(bench::CommandLine const& line) {
  if (line.word(0, "MODEL") == "make") return make<C>(line);
  bench::with_precision(line.word(1, "PRECISION"), [&]<class P>() { run<C, P>(line); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(argc, argv, usage, [](bench::CommandLine const& line) {
    bool const make_file = line.word(0, "MODEL") == "make";
    std::string const& model = line.word(make_file ? 1 : 0, "MODEL");
    if (model == "mini") return with_model<bench::mini_alone>(line);
    if (model == "peer") return with_model<bench::peer_model>(line);
    if (model == "peer_a") return with_model<bench::peer_model_a>(line);
    throw std::invalid_argument("there is no model " + model);
  });
}
