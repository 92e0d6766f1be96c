// Logits, hidden states, routing, losses and gradients against DeepSeek's own code (tests/golden/README.md).
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/infer/sampler.hpp"
#include "aeth/infer/session.hpp"
#include "aeth/loss/language_model.hpp"
#include "aeth/model/model.hpp"
#include "aeth/model/pass.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/golden_configs.hpp"

namespace {

using namespace aeth;

/// Fills a model with a file's weights, every tensor of either side used exactly once.
template <class Model>
void load(Model& model, test::TensorFile const& file) {
  std::size_t used = 0;
  for (ParameterInfo const& p : model.parameters()) {
    auto const& values = file[p.name];
    REQUIRE(static_cast<Index>(values.size()) == p.size());
    for (Index i = 0; i < p.size(); ++i)
      model.weights()[p.offset + i] = static_cast<typename Model::Master>(values[to_size(i)]);
    ++used;
  }
  for (Index row = 0; row < model.biases().rows; ++row) {
    auto const& values = file[model.bias_names()[to_size(row)]];
    for (Index i = 0; i < model.biases().cols; ++i)
      model.biases()(row, i) = static_cast<typename Model::Exact>(values[to_size(i)]);
    ++used;
  }
  REQUIRE(used == file.all().size());
  model.prepare();
}

std::vector<std::int32_t> ids(std::vector<double> const& values) {
  return {values.begin(), values.end()};
}

template <ModelConfig C, class P>
void check(std::string const& folder, double forward_bound, double gradient_bound) {
  using T = typename P::Exact;
  INFO(folder);
  std::string const path = std::string(AETH_TEST_DATA_DIR) + "/golden/data/" + folder;
  test::TensorFile const golden(path + "/golden.safetensors");
  Cpu cpu(2);
  Model<C, P, Cpu> model(cpu);
  load(model, test::TensorFile(path + "/model.safetensors"));
  model.enable_gradients();

  auto const tokens = ids(golden["tokens"]), targets = ids(golden["targets"]);
  Index const size = static_cast<Index>(tokens.size());
  Index const length = static_cast<Index>(golden.shape("tokens")[1]);
  std::vector<Index> rows;
  for (Index row = 0; row <= size; row += length) rows.push_back(row);
  std::int32_t const* const ahead[] = {targets.data()};
  PassInput const input{{tokens.data(), size}, &rows, &rows, C.mtp_depth > 0 ? ahead : nullptr};
  Pass pass(model);
  pass.forward(input);

  for (Index layer = 0; layer <= C.layers; ++layer)
    CHECK(test::relative_difference(pass.hidden(layer).data, golden["hidden." + std::to_string(layer)]) <
          forward_bound);
  for (int layer = 0; layer < C.layers; ++layer) {
    if (!C.is_moe_layer(layer)) continue;
    auto const& wanted_experts = golden["router." + std::to_string(layer) + ".indices"];
    auto const& wanted_gates = golden["router." + std::to_string(layer) + ".weights"];
    auto const& router = pass.router(layer);
    for (Index t = 0; t < size; ++t)
      for (Index k = 0; k < C.moe.top_k; ++k) {
        Index found = -1;
        for (Index j = 0; j < C.moe.top_k; ++j)
          if (static_cast<Index>(wanted_experts[to_size(t * C.moe.top_k + j)]) == router.experts(t, k))
            found = j;
        REQUIRE(found >= 0);
        CHECK(static_cast<double>(router.gates(t, k)) ==
              Catch::Approx(wanted_gates[to_size(t * C.moe.top_k + found)]).epsilon(forward_bound));
      }
  }

  std::vector<T> logits(to_size(size * C.vocab_size));
  std::vector<std::vector<T>> d_normed(to_size(1 + C.mtp_depth), std::vector<T>(to_size(size * C.dim)));
  std::vector<MatrixView<T>> d_views;
  loss::HeadView const head{model.head().packed(), model.head().packed_backward(),
                            model.head().weight().gradient_matrix()};
  for (Index depth = 0; depth <= C.mtp_depth; ++depth) {
    std::string const name = depth == 0 ? "" : "mtp.";
    ops::linear(cpu, pass.normed(depth), head.packed, MatrixView<T>(logits.data(), size, C.vocab_size));
    CHECK(test::relative_difference(logits.data(), golden[name + "logits"]) < forward_bound);
    auto const wanted = ids(golden[name + "targets"]);
    std::vector<T> losses(to_size(size));
    auto& d = d_normed[to_size(depth)];
    d_views.push_back({d.data(), size, C.dim});
    double const weight = depth == 0 ? 1.0 : 0.3;
    loss::language_model_loss(
        cpu, head, pass.normed(depth), VectorView<std::int32_t const>(wanted.data(), size),
        static_cast<T>(weight / static_cast<double>(size)), losses.data(), d_views.back(), pass.arena());
    double mean = 0;
    for (T const loss : losses) mean += static_cast<double>(loss) / static_cast<double>(size);
    CHECK(mean == Catch::Approx(golden[name + "loss"][0]).epsilon(forward_bound));
  }
  pass.backward(d_views);
  for (ParameterInfo const& p : model.parameters()) {
    INFO(p.name);
    T const* const gradient = model.gradients().data + p.offset;
    std::vector<double> const zeros(to_size(p.size()), 0.0);
    bool const chosen = golden.has("grad." + p.name);
    double const difference = test::relative_difference(gradient, chosen ? golden["grad." + p.name] : zeros);
    if (chosen)
      CHECK(difference < gradient_bound);
    else
      CHECK(difference == 0.0);
  }
}

/// Greedy continuation, the prompt in chunks of `chunk` tokens, decoded too if that is 1, all sequences in one batch.
template <ModelConfig C>
void check_decoding(std::string const& folder, Index chunk, infer::CacheForm form) {
  INFO(folder << ", chunk " << chunk);
  std::string const path = std::string(AETH_TEST_DATA_DIR) + "/golden/data/" + folder;
  test::TensorFile const golden(path + "/golden.safetensors");
  Cpu cpu(2);
  Model<C, Fp32, Cpu> model(cpu);
  load(model, test::TensorFile(path + "/model.safetensors"));
  auto const tokens = ids(golden["tokens"]), wanted = ids(golden["greedy.tokens"]);
  Index const rows = static_cast<Index>(golden.shape("tokens")[0]),
              length = static_cast<Index>(golden.shape("tokens")[1]);
  infer::Session session(model, rows, length + 16, form);
  MatrixView<float> logits;
  for (Index at = 0; at < length; at += chunk) {
    std::vector<infer::Chunk> chunks;
    for (Index row = 0; row < rows; ++row)
      chunks.push_back({row, {tokens.data() + row * length + at, min(chunk, length - at)}});
    logits = chunk == 1 ? session.decode(chunks) : session.append(chunks);
  }
  for (Index i = 0; i < 16; ++i) {
    std::vector<std::int32_t> next;
    std::vector<infer::Chunk> chunks;
    for (Index row = 0; row < rows; ++row)
      next.push_back(infer::greedy(VectorView<float const>(logits.row(row), logits.cols)));
    for (Index row = 0; row < rows; ++row) {
      CHECK(next[to_size(row)] == wanted[to_size(row * 16 + i)]);
      chunks.push_back({row, {&next[to_size(row)], 1}});
    }
    logits = session.decode(chunks);
  }
  CHECK(test::relative_difference(logits.data, golden["greedy.last_logits"]) < 1e-5);
}

template <ModelConfig C>
void check_both(std::string const& folder) {
  check<C, Fp32>(folder, 1e-5, 1e-4);
  check<C, Fp64>(folder, 1e-5, 1e-4);
  check_decoding<C>(folder, 1, infer::CacheForm::latent);
  check_decoding<C>(folder, 5, infer::CacheForm::latent);
  check_decoding<C>(folder, 1000, infer::CacheForm::latent);
  check_decoding<C>(folder, 7, infer::CacheForm::expanded);
}

}  // namespace

TEST_CASE("golden: V2-Lite routing, full-rank queries") {
  check_both<test::v2_lite_tiny>("v2-lite-tiny");
}
TEST_CASE("golden: V2 group-limited routing with YaRN") {
  check_both<test::v2_yarn_tiny>("v2-yarn-tiny");
}
TEST_CASE("golden: V3") {
  check_both<test::v3_tiny>("v3-tiny");
}
TEST_CASE("golden: V3 with multi-token prediction") {
  check_both<test::v3_mtp_tiny>("v3-mtp-tiny");
}
TEST_CASE("golden: V3 with YaRN") {
  check_both<test::v3_yarn_tiny>("v3-yarn-tiny");
}
TEST_CASE("golden: V3, odd sizes and negative biases") {
  check_both<test::v3_edge>("v3-edge");
}
