// Backward passes of latent attention, of decoder layers and of an MTP module against finite differences in
// double.
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/nn/block.hpp"
#include "aeth/nn/mla.hpp"
#include "aeth/nn/mtp.hpp"
#include "support/catch.hpp"
#include "support/layer_check.hpp"

namespace {

using namespace aeth;
using test::check_layer;
using test::random_tensor;
using test::Tensor;

constexpr int dim = 9;

/// Segments one after another, positions from 0 in each, two balanced sequences.
template <MlaConfig C>
struct Place {
  explicit Place(std::vector<Index> const& segments, double balance = 0.0) : table(C) {
    table.reserve(64);
    for (Index const size : segments) {
      pass.spans.push_back({tokens, size, tokens, size});
      for (Index i = 0; i < size; ++i) positions.push_back(static_cast<std::int32_t>(i));
      tokens += size;
    }
    sequences = {0, segments.front(), tokens};
    pass.rotary = {positions.data(), table.cosine(), table.sine()};
    pass.balance = {balance, {sequences.data(), 3}};
  }
  nn::RotaryTable<double> table;
  std::vector<std::int32_t> positions;
  std::vector<Index> sequences;
  nn::PassGeometry<double> pass;
  Index tokens = 0;
};

inline constexpr MlaConfig low_rank{
    .heads = 2, .q_rank = 5, .kv_rank = 6, .nope_dim = 3, .rope_dim = 4, .v_dim = 5};
inline constexpr MlaConfig full_rank{
    .heads = 3, .q_rank = 0, .kv_rank = 4, .nope_dim = 5, .rope_dim = 2, .v_dim = 3};
inline constexpr MlaConfig yarn{
    .heads = 2,
    .q_rank = 5,
    .kv_rank = 6,
    .nope_dim = 3,
    .rope_dim = 8,
    .v_dim = 5,
    .rope = {.yarn = {.factor = 4.0, .original_context = 16, .mscale = 1.0, .mscale_all_dim = 0.5}}};

template <MlaConfig C>
void check_mla(std::string const& what, std::vector<Index> const& segments, std::uint64_t seed) {
  Cpu cpu(1);
  Place<C> const place(segments);
  nn::Mla<C, dim, Fp64, Cpu> layer;
  nn::MlaContext<C, Fp64> context;
  check_layer(
      what, cpu, layer, random_tensor<double>(place.tokens, dim, seed), dim, seed,
      [&](auto x, auto y, Arena& arena) {
        context.reserve(arena, place.tokens);
        layer.forward(cpu, x, place.pass.rotary, place.pass.spans, y, context);
        return 0.0;
      },
      [&](auto dy, auto x, auto dx, Arena& arena) {
        layer.backward(cpu, dy, x, place.pass.rotary, place.pass.spans, dx, context, arena);
      });
}

inline constexpr ModelConfig config{.vocab_size = 16,
                                    .dim = dim,
                                    .layers = 2,
                                    .dense_layers = 1,
                                    .ffn_dim = 11,
                                    .mla = low_rank,
                                    .moe = {.experts = 6,
                                            .shared = 1,
                                            .top_k = 2,
                                            .groups = 3,
                                            .top_groups = 2,
                                            .hidden_dim = 5,
                                            .gate_scale = 2.5}};

/// The balance loss of a forward pass, which backward would compute.
double balance_of(Cpu& cpu, nn::BalanceTerm const& balance, nn::RouterContext<Fp64> const& router) {
  if (balance.weight == 0.0) return 0.0;
  double losses[2];
  ops::balance_loss(cpu, balance.sequences, router.scores, router.experts, balance.weight, losses,
                    MatrixView<double>{});
  return losses[0] + losses[1];
}

void check_block(std::string const& what, bool has_experts, double balance, std::uint64_t seed) {
  Cpu cpu(1);
  Place<config.mla> const place({6, 1, 7}, balance);
  nn::Block<nn::block_config(config), Fp64, Cpu> layer(has_experts, config.ffn_dim);
  nn::BlockContext<nn::block_config(config), Fp64> context;
  check_layer(
      what, cpu, layer, random_tensor<double>(place.tokens, dim, seed), dim, seed,
      [&](auto x, auto y, Arena& arena) {
        layer.reserve(arena, place.tokens, 2, context);
        layer.forward(cpu, x, y, place.pass, context, arena);
        return balance_of(cpu, place.pass.balance, context.moe.router);
      },
      [&](auto dy, auto, auto dx, Arena& arena) {
        layer.backward(cpu, dy, place.pass, context, arena);
        for (Index t = 0; t < dx.rows; ++t)
          for (Index j = 0; j < dx.cols; ++j) dx(t, j) = dy(t, j);
      });
}

}  // namespace

TEST_CASE("gradient: latent attention") {
  check_mla<low_rank>("MLA, one token", {1}, 90);
  check_mla<low_rank>("MLA, low-rank queries", {7, 1, 5}, 91);
  check_mla<full_rank>("MLA, full-rank queries", {7, 1, 5}, 92);
  check_mla<yarn>("MLA, YaRN", {4, 26}, 93);
}

TEST_CASE("gradient: decoder layer") {
  check_block("block, dense", false, 0.0, 94);
  check_block("block, experts", true, 0.0, 95);
  check_block("block, experts, balance loss", true, 0.7, 96);
}

TEST_CASE("gradient: MTP module") {
  // The input is the state beside the embedding: [T,2D]; the output is out beside normed, as both are read.
  Cpu cpu(1);
  Place<config.mla> const place({6, 1, 7}, 0.7);
  nn::Mtp<nn::block_config(config), Fp64, Cpu> layer(config.ffn_dim);
  nn::MtpContext<nn::block_config(config), Fp64> context;
  Index const tokens = place.tokens;
  check_layer(
      "MTP module", cpu, layer, random_tensor<double>(tokens, 2 * dim, 97), 2 * dim, 97,
      [&](MatrixView<double> x, MatrixView<double> y, Arena& arena) {
        layer.reserve(arena, tokens, 2, context);
        for (Index t = 0; t < tokens; ++t)
          for (Index j = 0; j < dim; ++j) context.embedding(t, j) = x(t, dim + j);
        layer.forward(cpu, x.col_slice(0, dim), place.pass, context, arena);
        for (Index t = 0; t < tokens; ++t)
          for (Index j = 0; j < dim; ++j) {
            y(t, j) = context.out(t, j);
            y(t, dim + j) = context.normed(t, j);
          }
        return balance_of(cpu, place.pass.balance, context.block.moe.router);
      },
      [&](MatrixView<double> dy, MatrixView<double> x, MatrixView<double> dx, Arena& arena) {
        for (Index t = 0; t < tokens; ++t)
          for (Index j = 0; j < dim; ++j) dx(t, j) = 3.0;  // d_state continues
        layer.backward(cpu, dy.col_slice(dim, dim), dy.col_slice(0, dim), x.col_slice(0, dim),
                       dx.col_slice(dim, dim), dx.col_slice(0, dim), place.pass, context, arena);
        for (Index t = 0; t < tokens; ++t)
          for (Index j = 0; j < dim; ++j) dx(t, j) -= 3.0;
      });
}
