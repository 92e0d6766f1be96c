// Which tensors an optimizer gets whole.
#include "aeth/train/parameter_ranges.hpp"

#include <map>
#include <string>

#include "aeth/optim/muon.hpp"
#include "support/catch.hpp"
#include "support/small_text.hpp"
#include "support/tiny_run.hpp"

namespace {

using namespace aeth;
using test::TinyRun;

/// A name with * for its numbers.
std::string pattern_of(std::string const& name) {
  std::string out;
  for (char const c : name)
    if (c < '0' || c > '9')
      out += c;
    else if (out.back() != '*')
      out += '*';
  return out;
}

/// How many there are of each, a line each.
std::string listed(std::map<std::string, int> const& counts) {
  std::string out;
  for (auto const& [name, count] : counts) out += text(count, ' ', name, '\n');
  return out;
}

}  // namespace

TEST_CASE("hidden matrices are ranges of their own for optimizers that take matrices; all else is not") {
  Cpu cpu(1);
  test::TinyModel const model(cpu);
  auto const ranges = train::parameter_ranges(model.parameters(), true);
  std::map<std::string, int> matrices, others;
  Index end = 0;
  std::size_t at = 0;
  for (ParameterInfo const& p : model.parameters()) {
    while (ranges[at].end <= p.offset) ++at;
    optim::ParameterRange const& r = ranges[at];
    CHECK(r.begin <= p.offset);
    CHECK(r.end >= p.offset + p.size());
    CHECK(r.decay == (p.kind != nn::ParameterKind::norm));
    if (r.is_matrix()) CHECK(r == optim::ParameterRange{p.offset, p.offset + p.size(), true, p.rows, p.cols});
    (r.is_matrix() ? matrices : others)[pattern_of(p.name)] += 1;
  }
  for (auto const& r : ranges) {
    CHECK(r.begin == end);
    end = r.end;
  }
  CHECK(end == model.weights().size);
  // Two layers with experts and one without, and a module of multi-token prediction, which has experts.
  CHECK(listed(others) ==
        "1 lm_head.weight\n"
        "1 model.embed_tokens.weight\n"
        "1 model.layers.*.enorm.weight\n"
        "1 model.layers.*.hnorm.weight\n"
        "4 model.layers.*.input_layernorm.weight\n"
        "4 model.layers.*.post_attention_layernorm.weight\n"
        "4 model.layers.*.self_attn.kv_a_layernorm.weight\n"
        "4 model.layers.*.self_attn.q_a_layernorm.weight\n"
        "1 model.layers.*.shared_head.norm.weight\n"
        "1 model.norm.weight\n");
  CHECK(listed(matrices) ==
        "1 model.layers.*.eh_proj.weight\n"
        "1 model.layers.*.mlp.down_proj.weight\n"
        "24 model.layers.*.mlp.experts.*.down_proj.weight\n"
        "24 model.layers.*.mlp.experts.*.gate_proj.weight\n"
        "24 model.layers.*.mlp.experts.*.up_proj.weight\n"
        "3 model.layers.*.mlp.gate.weight\n"
        "1 model.layers.*.mlp.gate_proj.weight\n"
        "3 model.layers.*.mlp.shared_experts.down_proj.weight\n"
        "3 model.layers.*.mlp.shared_experts.gate_proj.weight\n"
        "3 model.layers.*.mlp.shared_experts.up_proj.weight\n"
        "1 model.layers.*.mlp.up_proj.weight\n"
        "4 model.layers.*.self_attn.kv_a_proj_with_mqa.weight\n"
        "4 model.layers.*.self_attn.kv_b_proj.weight\n"
        "4 model.layers.*.self_attn.o_proj.weight\n"
        "4 model.layers.*.self_attn.q_a_proj.weight\n"
        "4 model.layers.*.self_attn.q_b_proj.weight\n");
}

TEST_CASE("optimizers that take no matrices get neighbours with the same decay as one range") {
  Cpu cpu(1);
  test::TinyModel const model(cpu);
  auto const ranges = train::parameter_ranges(model.parameters(), false);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    CHECK_FALSE(ranges[i].is_matrix());
    if (i > 0) CHECK(ranges[i].begin == ranges[i - 1].end);
    if (i > 0) CHECK(ranges[i].decay != ranges[i - 1].decay);
  }
  CHECK(ranges.front().begin == 0);
  CHECK(ranges.back().end == model.weights().size);
}

TEST_CASE(
    "training with Muon: a step leaves AdamW's bits in embedding, head and norms, and in nothing else") {
  auto const text = test::small_text(1);
  TinyRun adamw(text, test::tiny_options(), 1);
  TinyRun muon(text, test::tiny_options(), 1, optim::Muon());
  (void)adamw.trainer.step();
  (void)muon.trainer.step();
  auto const wanted = adamw.outcome(), got = muon.outcome();
  for (ParameterInfo const& p : muon.model.parameters()) {
    INFO(p.name);
    auto const part = [&](std::vector<float> const& x) {
      return std::vector(x.begin() + p.offset, x.begin() + p.offset + p.size());
    };
    bool const hidden = p.kind == nn::ParameterKind::matrix || p.kind == nn::ParameterKind::router;
    CHECK(test::same(part(got.weights), part(wanted.weights)) == !hidden);
    CHECK(test::same(part(got.second), part(wanted.second)) == !hidden);
  }
}
