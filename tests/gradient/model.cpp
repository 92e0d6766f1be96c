// The gradient of the whole loss of a tiny model, MTP and balance loss included, against finite differences.
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/training_run.hpp"

namespace {

using namespace aeth;

inline constexpr ModelConfig base{
    .vocab_size = 13,
    .dim = 10,
    .layers = 2,
    .dense_layers = 1,
    .ffn_dim = 9,
    .max_context = 32,
    .mla = {.heads = 2, .q_rank = 5, .kv_rank = 6, .nope_dim = 3, .rope_dim = 4, .v_dim = 5},
    .moe = {.experts = 6,
            .shared = 1,
            .top_k = 2,
            .groups = 3,
            .top_groups = 2,
            .hidden_dim = 5,
            .gate_scale = 2.5},
    .mtp_depth = 1,
};

template <ModelConfig C>
void check(std::string const& name, std::uint64_t seed) {
  Cpu cpu(1);
  Model<C, Fp64, Cpu> model(cpu);
  model.enable_gradients();
  test::randomize(model, seed);
  Pass pass(model);
  std::vector<test::Sequence> const content{test::random_sequence({3, 4}, seed * 10, C.vocab_size),
                                            test::random_sequence({5}, seed * 10 + 1, C.vocab_size),
                                            test::random_sequence({1, 2}, seed * 10 + 2, C.vocab_size)};
  test::Batch const batch(content, C.mtp_depth);
  // A balance loss as large as the cross entropy, so that an error in it shows.
  test::LossWeights const weights{.token = 0.1, .mtp = 0.7, .balance = 0.5};
  auto const loss = [&] {
    model.prepare();
    return test::training_step(model, pass, batch, weights);
  };
  (void)loss();
  std::vector<double> const gradients = test::to_vector(model.gradients());
  test::GradientReport report(name);
  for (ParameterInfo const& p : model.parameters())
    report.check(p.name, model.weights().slice(p.offset, p.size()),
                 {gradients.begin() + p.offset, gradients.begin() + p.offset + p.size()}, loss, 4);
}

constexpr ModelConfig variant(int depth, MtpInput input) {
  return with(base, [=](ModelConfig& c) {
    c.mtp_depth = depth;
    c.mtp_input = input;
  });
}
inline constexpr ModelConfig one_post = variant(1, MtpInput::post_norm);
inline constexpr ModelConfig one_pre = variant(1, MtpInput::pre_norm);
inline constexpr ModelConfig two_post = variant(2, MtpInput::post_norm);
inline constexpr ModelConfig two_pre = variant(2, MtpInput::pre_norm);

}  // namespace

TEST_CASE("gradient: whole model, one MTP module") {
  check<one_post>("model, 1 MTP module, post-norm", 1);
  check<one_pre>("model, 1 MTP module, pre-norm", 2);
}

TEST_CASE("gradient: whole model, two MTP modules") {
  check<two_post>("model, 2 MTP modules, post-norm", 3);
  check<two_pre>("model, 2 MTP modules, pre-norm", 4);
}
