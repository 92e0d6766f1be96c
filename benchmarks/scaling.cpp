// How cost grows: with tokens in a batch, with threads, with experts; and what routing takes of a training step.
//
// Rows of one bench name belong together and are to be compared with one another. Only threads have a limit.
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/random.hpp"
#include "aeth/core/text.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/precision.hpp"
#include "aeth/train/step.hpp"
#include "support/configs.hpp"
#include "support/harness.hpp"

namespace {

using aeth::Index;
using aeth::MatrixView;
using aeth::to_size;
using aeth::Write;

/// The tiny preset without shared experts' cost hiding that of routing: E experts, eight for each token.
template <int E>
inline constexpr aeth::ModelConfig tiny_with_experts = aeth::with(aeth::presets::tiny,
                                                                  [](aeth::ModelConfig& c) {
                                                                    c.moe.experts = E;
                                                                    c.moe.top_k = 8;
                                                                  });

/// The peers' model with as many experts as DeepSeek-V3, one layer of them, and a small vocabulary, whose head would
/// otherwise be most of the work.
inline constexpr aeth::ModelConfig wide_256 = aeth::with(bench::peer_model, [](aeth::ModelConfig& c) {
  c.vocab_size = 4096;
  c.layers = 2;
  c.moe.experts = 256;
  c.moe.top_k = 8;
  c.moe.groups = 8;
  c.moe.top_groups = 4;
});

/// A backend that counts the time of choosing experts and of carrying rows to them and back.
class RoutingClock : public aeth::Cpu {
 public:
  using Cpu::Cpu;
  double seconds = 0;

  template <class X, class Y, class W>
  void linear(MatrixView<X const> x, W const* packed, MatrixView<Y> y, Write write = Write::overwrite) {
    // Only the router multiplies operands that no policy narrows.
    if constexpr (std::is_same_v<W, float>)
      counted([&] { Cpu::linear(x, packed, y, write); });
    else
      Cpu::linear(x, packed, y, write);
  }
  template <class W, class DY, class X, class T>
  void linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw) {
    if constexpr (std::is_same_v<W, float>)
      counted([&] { Cpu::linear_weight_grad<W>(dy, x, dw); });
    else
      Cpu::linear_weight_grad<W>(dy, x, dw);
  }
  template <class... Arguments>
  void route(Arguments&&... arguments) {
    counted([&] { Cpu::route(std::forward<Arguments>(arguments)...); });
  }
  template <class... Arguments>
  void route_backward(Arguments&&... arguments) {
    counted([&] { Cpu::route_backward(std::forward<Arguments>(arguments)...); });
  }
  template <class... Arguments>
  void gather(Arguments&&... arguments) {
    counted([&] { Cpu::gather(std::forward<Arguments>(arguments)...); });
  }
  template <class... Arguments>
  void combine(Arguments&&... arguments) {
    counted([&] { Cpu::combine(std::forward<Arguments>(arguments)...); });
  }
  template <class... Arguments>
  void combine_backward(Arguments&&... arguments) {
    counted([&] { Cpu::combine_backward(std::forward<Arguments>(arguments)...); });
  }

 private:
  template <class Body>
  void counted(Body const& body) {
    double const begin = bench::now(bench::Clock::wall);
    body();
    seconds += bench::now(bench::Clock::wall) - begin;
  }
};

aeth::data::Batch random_batch(Index rows, Index length, int vocab) {
  aeth::Random random(3, aeth::RandomUse::test);
  aeth::data::Batch batch;
  batch.resize(rows, length, 1);
  for (Index i = 0; i < rows * length; ++i)
    batch.tokens[to_size(i)] = batch.targets[to_size(i)] =
        static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab)));
  for (Index row = 0; row < rows; ++row) batch.segments.push_back(static_cast<std::int32_t>(row * length));
  return batch;
}

/// A model on threads of its own; a step is forward and backward, no update.
template <aeth::ModelConfig C, class P>
struct GradientRun {
  aeth::Cpu cpu;
  aeth::Model<C, P> model{cpu};
  aeth::train::Stepper<aeth::Model<C, P>> stepper{model};

  GradientRun(int threads, aeth::SimdLevel level) : cpu(threads, level) { model.initialize(1); }
  void step(aeth::data::Batch const& batch) { (void)stepper.gradients(batch, {.mtp_weight = 0.0}); }
};

struct Scaling {
  bench::Options const& options;
  bench::Report& report;

  template <class P>
  void add(std::string const& bench, std::string const& config, double amount, std::string const& unit,
           bench::Samples const& times, int threads, std::string const& peer = {}, double peer_value = 0,
           double limit = 0) {
    report.add({.bench = bench,
                .config = config,
                .precision = std::string(P::name),
                .unit = unit,
                .value = amount / times.median(),
                .least = amount / times.slowest(),
                .most = amount / times.fastest(),
                .samples = static_cast<int>(times.seconds.size()),
                .limit = limit,
                .limited_by = limit > 0 ? "copies of one thread" : "",
                .peer = peer,
                .peer_value = peer_value},
               threads, aeth::to_string(options.level));
  }

  /// Sequences stay as long, so attention costs each token the same; only their number grows. Beside as many tokens in
  /// batches of 1,024, in turns. All at once, whose activations outgrow the caches, and in micro-batches of 4,096 tokens,
  /// which change no bit.
  template <class P>
  void tokens() {
    constexpr Index length = 256, few = 1024;
    constexpr aeth::ModelConfig C = aeth::presets::tiny;
    auto const measure_one = [&](Index count, Index micro_rows) {
      std::string const config = aeth::text("tiny ", count, " tokens", micro_rows > 0 ? " by 4096" : "");
      if (!report.wants("scale.tokens", config, std::string(P::name))) return;
      aeth::Cpu cpu(options.threads, options.level);
      aeth::Model<C, P> model(cpu);
      model.initialize(1);
      aeth::train::Stepper<aeth::Model<C, P>> stepper(model, micro_rows), of_few(model);
      auto const batch = random_batch(count / length, length, C.vocab_size),
                 few_tokens = random_batch(few / length, length, C.vocab_size);
      auto const [many, several] = measure(
          options, [&] { (void)stepper.gradients(batch, {.mtp_weight = 0.0}); },
          [&] {
            for (Index i = 0; i < count / few; ++i) (void)of_few.gradients(few_tokens, {.mtp_weight = 0.0});
          });
      double const amount = static_cast<double>(count);
      add<P>("scale.tokens", config, amount, "tokens/s", many, options.threads, "by 1024",
             amount / several.median());
    };
    for (Index const count : {4096, 16384, 65536}) measure_one(count, 0);
    for (Index const count : {16384, 65536}) measure_one(count, 4096 / length);
  }

  /// Beside one thread, and beside as many copies of the run of one thread at once, in turns. The copies share nothing
  /// and wait for nothing, so they are the limit that memory and other users of the machine set.
  template <class P>
  void threads() {
    constexpr aeth::ModelConfig C = aeth::presets::mini;
    constexpr Index rows = 16, length = 256;
    auto const batch = random_batch(rows, length, C.vocab_size);
    for (int n = 2; n <= options.threads; n *= 2) {
      std::string const config = aeth::text("mini ", rows, "x", length, " ", n, " threads");
      if (!report.wants("scale.threads", config, std::string(P::name))) continue;
      GradientRun<C, P> together(n, options.level);
      std::vector<std::unique_ptr<GradientRun<C, P>>> copies;
      for (int i = 0; i < n; ++i) copies.push_back(std::make_unique<GradientRun<C, P>>(1, options.level));
      auto const [many, one, apart] = measure(
          options, [&] { together.step(batch); }, [&] { copies[0]->step(batch); },
          [&] {
            std::vector<std::jthread> threads;
            for (auto const& copy : copies) threads.emplace_back([&] { copy->step(batch); });
          });
      double const amount = static_cast<double>(rows * length);
      add<P>("scale.threads", config, amount, "tokens/s", many, n, "1 thread", amount / one.median(),
             n * amount / apart.median());
    }
  }

  template <int E, class P>
  void experts() {
    std::string const config = aeth::text("tiny ", E, " experts");
    if (!report.wants("scale.experts", config, std::string(P::name))) return;
    constexpr Index rows = 16, length = 256;
    GradientRun<tiny_with_experts<E>, P> run(options.threads, options.level);
    auto const batch = random_batch(rows, length, tiny_with_experts<E>.vocab_size);
    add<P>("scale.experts", config, static_cast<double>(rows * length), "tokens/s",
           measure(options, [&] { run.step(batch); }), options.threads);
  }

  /// Routing and dispatch of forward and backward, as a share of both.
  void routing() {
    using P = aeth::Bf16;
    std::string const config = "peer B with 8 of 256 experts, 8x512";
    if (!report.wants("share.routing", config, std::string(P::name))) return;
    RoutingClock cpu(options.threads, options.level);
    aeth::Model<wide_256, P, RoutingClock> model(cpu);
    model.initialize(1);
    aeth::train::Stepper<aeth::Model<wide_256, P, RoutingClock>> stepper(model, 2);
    auto const batch = random_batch(8, 512, wide_256.vocab_size);
    bench::Samples shares;
    for (int i = 0; i <= options.samples; ++i) {
      cpu.seconds = 0;
      double const begin = bench::now(bench::Clock::wall);
      (void)stepper.gradients(batch, {});
      double const share = 100.0 * cpu.seconds / (bench::now(bench::Clock::wall) - begin);
      if (i > 0) shares.seconds.push_back(share);
    }
    shares.sort();
    report.add({.bench = "share.routing",
                .config = config,
                .precision = std::string(P::name),
                .unit = "%",
                .value = shares.median(),
                .least = shares.fastest(),
                .most = shares.slowest(),
                .samples = options.samples});
  }
};

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [](bench::Options const& options, bench::Report& report) {
    Scaling s{options, report};
    s.tokens<aeth::Fp32>();
    s.tokens<aeth::Bf16>();
    s.threads<aeth::Fp32>();
    s.threads<aeth::Bf16>();
    s.experts<16, aeth::Fp32>();
    s.experts<64, aeth::Fp32>();
    s.experts<256, aeth::Fp32>();
    s.routing();
  });
}
