// Every operation of the CPU backend at the shapes of presets::mini (a training batch of 16 rows of 256
// tokens) and of a wider model (512 tokens). Matrix products stand beside Eigen's.
//
// The limit of a row is the larger of two times: its arithmetic at the machine's peak of FP32 multiply-adds, or,
// in BF16, of BF16 dot products where the machine has an instruction for them; and the bytes of its operands and
// results, each moved once (also where it is read and written), at the bandwidth with which a buffer of their size
// can be read.
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/core/buffer.hpp"
#include "aeth/core/random.hpp"
#include "aeth/core/text.hpp"
#include "aeth/nn/moe/router.hpp"
#include "aeth/nn/rotary.hpp"
#include "support/configs.hpp"
#include "support/eigen_peer.hpp"
#include "support/harness.hpp"
#include "support/machine_peak.hpp"

namespace {

using aeth::Buffer;
using aeth::Index;
using aeth::MatrixView;
using aeth::to_size;

/// A matrix that owns its elements, filled with random numbers around 0.
template <class T>
class Tensor {
 public:
  Tensor(Index rows, Index cols, double scale = 1.0) : data_(rows * cols), rows_(rows), cols_(cols) {
    aeth::Random random(1, aeth::RandomUse::test, static_cast<std::uint64_t>(rows * 7 + cols));
    for (Index i = 0; i < data_.size(); ++i)
      data_[i] = T(static_cast<float>((random.bits() * 0x1p-31 - 1.0) * scale));
  }
  [[nodiscard]] MatrixView<T> view() { return {data_.data(), rows_, cols_}; }
  [[nodiscard]] MatrixView<T const> read() const { return {data_.data(), rows_, cols_}; }
  [[nodiscard]] T* data() { return data_.data(); }
  [[nodiscard]] double bytes() const { return static_cast<double>(data_.size()) * sizeof(T); }

 private:
  Buffer<T> data_;
  Index rows_, cols_;
};

/// What all results share.
struct Bench {
  bench::Options const& options;
  bench::Report& report;
  bench::MachinePeak& peak;
  aeth::Cpu& cpu;
};

/// FLOP, and bytes of operands and results, of one call.
struct Work {
  double flop = 0;
  double bytes = 0;
};

/// A model's sizes, the tokens that go through, and the storage type A of activations.
template <class A>
class Operations {
 public:
  Operations(Bench const& b, std::string name, aeth::ModelConfig const& config, Index tokens, Index length)
      : b_(b), name_(std::move(name)), c_(config), tokens_(tokens), length_(length) {}

  void run() {
    Index const d = c_.dim, heads = c_.mla.heads;
    matrix_products("q_a", d, c_.mla.q_rank);
    matrix_products("q_b", c_.mla.q_rank, heads * c_.mla.qk_dim());
    matrix_products("kv_a", d, c_.mla.kv_rank + c_.mla.rope_dim);
    matrix_products("kv_b", c_.mla.kv_rank, heads * (c_.mla.nope_dim + c_.mla.v_dim));
    matrix_products("o", Index{heads} * c_.mla.v_dim, d);
    matrix_products("ffn_up", d, Index{2} * c_.ffn_dim);
    matrix_products("ffn_down", c_.ffn_dim, d);
    matrix_products("router", d, c_.moe.experts);
    matrix_products("head", d, c_.vocab_size, aeth::min(tokens_, Index{256}));
    matrix_products("o, one row", Index{heads} * c_.mla.v_dim, d, 1);
    for (Index const rows : {32, 128}) {
      if (tokens_ <= rows) continue;
      matrix_products("q_b", c_.mla.q_rank, heads * c_.mla.qk_dim(), rows);
      matrix_products("o", Index{heads} * c_.mla.v_dim, d, rows);
      matrix_products("ffn_up", d, Index{2} * c_.ffn_dim, rows);
    }
    for (Index const tokens : {tokens_, tokens_ / 2}) {
      expert_products("experts_up", d, Index{2} * c_.moe.hidden_dim, tokens);
      expert_products("experts_down", c_.moe.hidden_dim, d, tokens);
    }
    pack();
    norms();
    rotate();
    swiglu();
    add();
    attention();
    latent_attention(1);
    latent_attention(8);
    routing();
    dispatch();
    cross_entropy();
    optimizer();
    embedding();
  }

  /// What of it has a form in FP8.
  void run_f8() {
    Index const d = c_.dim, heads = c_.mla.heads;
    f8_products("o, one row", Index{heads} * c_.mla.v_dim, d, 1);
    for (Index const rows : {Index{32}, Index{128}, tokens_}) {
      f8_products("q_a", d, c_.mla.q_rank, rows);
      f8_products("q_b", c_.mla.q_rank, heads * c_.mla.qk_dim(), rows);
      f8_products("kv_b", c_.mla.kv_rank, heads * (c_.mla.nope_dim + c_.mla.v_dim), rows);
      f8_products("o", Index{heads} * c_.mla.v_dim, d, rows);
      f8_products("ffn_up", d, Index{2} * c_.ffn_dim, rows);
      f8_products("ffn_down", c_.ffn_dim, d, rows);
    }
  }

 private:
  static constexpr bool is_fp32 = std::is_same_v<A, float>;
  static constexpr char const* precision = is_fp32 ? "fp32" : "bf16";

  [[nodiscard]] bool wants(std::string const& bench, std::string const& config) const {
    return b_.report.wants(bench, config, precision);
  }
  [[nodiscard]] std::string label(std::string const& shape) const { return name_ + ' ' + shape; }

  bench::Row row(std::string const& bench, std::string const& config, Work const& work,
                 bench::Samples const& times) {
    auto const limit = bench::limit_of(b_.peak, precision, work.flop, work.bytes, work.bytes);
    bool const compute = limit.by == std::string("compute");
    double const amount = (compute ? work.flop : work.bytes) * 1e-9;
    return {.bench = bench,
            .config = config,
            .precision = precision,
            .unit = compute ? "GFLOP/s" : "GB/s",
            .value = amount / times.median(),
            .least = amount / times.slowest(),
            .most = amount / times.fastest(),
            .samples = static_cast<int>(times.seconds.size()),
            .limit = amount / limit.seconds,
            .limited_by = limit.by,
            .gflops = work.flop * 1e-9 / times.median()};
  }

  template <class Body>
  void result(std::string const& bench, std::string const& config, Work const& work, Body const& body) {
    b_.report.add(row(bench, config, work, measure(b_.options, body)));
  }
  template <class Body, class Peer>
  void result(std::string const& bench, std::string const& config, Work const& work, Body const& body,
              Peer const& peer) {
    auto const [ours, theirs] = measure(b_.options, body, peer);
    bench::Row line = row(bench, config, work, ours);
    line.peer = "eigen";
    line.peer_value = line.value * ours.median() / theirs.median();
    b_.report.add(line);
  }

  /// Eigen on all threads: body(first, count) for parts of `size`.
  template <class Body>
  void split(Index size, Body const& body) {
    Index const part = aeth::round_up(aeth::ceil_div(size, Index{b_.cpu.threads()}), Index{16});
    b_.cpu.parallel(aeth::ceil_div(size, part),
                    [&](Index i, int) { body(i * part, aeth::min(part, size - i * part)); });
  }

  /// FP8 with BF16 beside it; both add in BF16 dot products, and have their limit.
  template <class Body, class Peer>
  void beside_bf16(std::string const& bench, std::string const& config, Work const& work, Body const& body,
                   Peer const& peer) {
    if (!b_.report.wants(bench, config, "fp8")) return;
    auto const [ours, theirs] = measure(b_.options, body, peer);
    bench::Row line = row(bench, config, work, ours);
    line.precision = "fp8";
    line.peer = "bf16";
    line.peer_value = line.value * ours.median() / theirs.median();
    b_.report.add(line);
  }

  void f8_products(std::string const& part, Index in, Index out, Index rows) {
    std::string const config = label(aeth::text(part, " ", rows, "x", in, "x", out));
    Work const work{2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out),
                    static_cast<double>(rows * (in + out)) * sizeof(A) + static_cast<double>(in * out)};
    bool any = false;
    for (char const* const bench : {"linear", "linear_input_grad", "linear_weight_grad"})
      any = any || b_.report.wants(bench, config, "fp8");
    if (!any) return;
    Tensor<A> x(rows, in), y(rows, out);
    Tensor<float> w(out, in, 1.0 / std::sqrt(static_cast<double>(in)));
    auto const products = [&]<class W>(W) {
      auto forward = std::make_shared<Buffer<W>>(aeth::Cpu::packed_size<W>(out, in));
      auto backward = std::make_shared<Buffer<W>>(aeth::Cpu::packed_size<W>(in, out));
      b_.cpu.pack_weights(w.read(), forward->data());
      b_.cpu.pack_transposed(w.read(), backward->data());
      return std::make_pair(forward, backward);
    };
    auto const f8 = products(aeth::e4m3());
    auto const wide = products(aeth::bf16());
    auto const forward = [&](auto const& packed) {
      return [&] { b_.cpu.linear(x.read(), packed.first->data(), y.view()); };
    };
    auto const backward = [&](auto const& packed) {
      return [&] { b_.cpu.linear(y.read(), packed.second->data(), x.view()); };
    };
    beside_bf16("linear", config, work, forward(f8), forward(wide));
    if (rows == 1) return;
    beside_bf16("linear_input_grad", config, work, backward(f8), backward(wide));
    beside_bf16(
        "linear_weight_grad", config, work,
        [&] { b_.cpu.linear_weight_grad<aeth::e4m3>(y.read(), x.read(), w.view()); },
        [&] { b_.cpu.linear_weight_grad<aeth::bf16>(y.read(), x.read(), w.view()); });
  }

  void matrix_products(std::string const& part, Index in, Index out, Index rows = 0) {
    if (rows == 0) rows = tokens_;
    std::string const config = label(aeth::text(part, " ", rows, "x", in, "x", out));
    Work const work{2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out),
                    static_cast<double>(rows * (in + out)) * sizeof(A) + static_cast<double>(in * out) * 4};
    bool const any =
        wants("linear", config) || wants("linear_input_grad", config) || wants("linear_weight_grad", config);
    if (!any) return;
    Tensor<A> x(rows, in), y(rows, out);
    Tensor<float> w(out, in, 1.0 / std::sqrt(static_cast<double>(in)));
    Buffer<A> packed(aeth::Cpu::packed_size<A>(out, in));
    b_.cpu.pack_weights(w.read(), packed.data());
    Buffer<A> backward(aeth::Cpu::packed_size<A>(in, out));
    b_.cpu.pack_transposed(w.read(), backward.data());
    compared(
        "linear", config, work, [&] { b_.cpu.linear(x.read(), packed.data(), y.view()); },
        [&] {
          if constexpr (is_fp32) {
            if (rows == 1)
              split(out, [&](Index first, Index n) {
                bench::eigen::product_transposed(1, n, in, x.data(), in, w.data() + first * in, in,
                                                 y.data() + first, out);
              });
            else
              split(rows, [&](Index first, Index n) {
                bench::eigen::product_transposed(n, out, in, x.data() + first * in, in, w.data(), in,
                                                 y.data() + first * out, out);
              });
          }
        });
    if (rows == 1) return;
    compared(
        "linear_input_grad", config, work, [&] { b_.cpu.linear(y.read(), backward.data(), x.view()); },
        [&] {
          if constexpr (is_fp32)
            split(rows, [&](Index first, Index n) {
              bench::eigen::product(n, in, out, y.data() + first * out, out, w.data(), in,
                                    x.data() + first * in, in);
            });
        });
    compared(
        "linear_weight_grad", config, work,
        [&] { b_.cpu.linear_weight_grad<A>(y.read(), x.read(), w.view()); },
        [&] {
          if constexpr (is_fp32)
            split(out, [&](Index first, Index n) {
              bench::eigen::add_transposed_product(n, in, rows, y.data() + first, out, x.data(), in,
                                                   w.data() + first * in, in);
            });
        });
  }

  /// With Eigen beside it in FP32, alone otherwise; nothing if not wanted.
  template <class Body, class Peer>
  void compared(std::string const& bench, std::string const& config, Work const& work, Body const& body,
                Peer const& peer) {
    if (!wants(bench, config)) return;
    if constexpr (is_fp32)
      result(bench, config, work, body, peer);
    else
      result(bench, config, work, body);
  }

  /// Rows of uneven loads: expert e gets a share that grows with e, from nothing to about twice the mean.
  std::vector<Index> uneven_groups(Index tokens) const {
    Index const rows = tokens * c_.moe.top_k, experts = c_.moe.experts;
    std::vector<Index> first(to_size(experts + 1), 0);
    for (Index e = 0; e <= experts; ++e) first[to_size(e)] = rows * e * (e - 1) / (experts * (experts - 1));
    return first;
  }

  void expert_products(std::string const& part, Index in, Index out, Index tokens) {
    Index const rows = tokens * c_.moe.top_k, experts = c_.moe.experts;
    std::string const config = label(aeth::text(part, " ", experts, " groups ", rows, "x", in, "x", out));
    if (!wants("grouped_linear", config) && !wants("grouped_linear_input_grad", config) &&
        !wants("grouped_linear_weight_grad", config))
      return;
    Work const work{
        2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out),
        static_cast<double>(rows * (in + out)) * sizeof(A) + static_cast<double>(experts * in * out) * 4};
    Tensor<A> x(rows, in), y(rows, out);
    Tensor<float> w(experts * out, in, 1.0 / std::sqrt(static_cast<double>(in)));
    Index const stride = in * out, packed_stride = aeth::Cpu::packed_size<A>(out, in);
    Buffer<A> packed(experts * packed_stride);
    for (Index e = 0; e < experts; ++e)
      b_.cpu.pack_weights(w.read().row_slice(e * out, out), packed.data() + e * packed_stride);
    Index const back_stride = aeth::Cpu::packed_size<A>(in, out);
    Buffer<A> backward(experts * back_stride);
    for (Index e = 0; e < experts; ++e)
      b_.cpu.pack_transposed(w.read().row_slice(e * out, out), backward.data() + e * back_stride);
    auto const groups = uneven_groups(tokens);
    // Eigen: one task per group, the largest first, as the groups ascend.
    auto const each_group = [&](auto const& body) {
      b_.cpu.parallel(experts, [&](Index i, int) {
        auto const e = to_size(experts - 1 - i);
        if (groups[e + 1] > groups[e]) body(experts - 1 - i, groups[e], groups[e + 1] - groups[e]);
      });
    };
    compared(
        "grouped_linear", config, work,
        [&] {
          b_.cpu.grouped_linear(x.read(), packed.data(), packed_stride, groups.data(), experts, y.view());
        },
        [&] {
          if constexpr (is_fp32)
            each_group([&](Index e, Index first, Index n) {
              bench::eigen::product_transposed(n, out, in, x.data() + first * in, in, w.data() + e * stride,
                                               in, y.data() + first * out, out);
            });
        });
    compared(
        "grouped_linear_input_grad", config, work,
        [&] {
          b_.cpu.grouped_linear(y.read(), backward.data(), back_stride, groups.data(), experts, x.view());
        },
        [&] {
          if constexpr (is_fp32)
            each_group([&](Index e, Index first, Index n) {
              bench::eigen::product(n, in, out, y.data() + first * out, out, w.data() + e * stride, in,
                                    x.data() + first * in, in);
            });
        });
    compared(
        "grouped_linear_weight_grad", config, work,
        [&] {
          b_.cpu.grouped_linear_weight_grad<A>(y.read(), x.read(), w.view().row_slice(0, out), stride,
                                               groups.data(), experts);
        },
        [&] {
          if constexpr (is_fp32)
            each_group([&](Index e, Index first, Index n) {
              bench::eigen::add_transposed_product(out, in, n, y.data() + first * out, out,
                                                   x.data() + first * in, in, w.data() + e * stride, in);
            });
        });
  }

  void pack() {
    std::string const config = label(aeth::text("ffn_up ", 2 * c_.ffn_dim, "x", c_.dim));
    if (!wants("pack_weights", config)) return;
    Tensor<float> w(2 * c_.ffn_dim, c_.dim);
    Index const out = 2 * c_.ffn_dim, in = c_.dim;
    Buffer<A> packed(aeth::max(aeth::Cpu::packed_size<A>(out, in), aeth::Cpu::packed_size<A>(in, out)));
    Work const work{0, w.bytes() * (1 + sizeof(A) / 4.0)};
    result("pack_weights", config, work, [&] { b_.cpu.pack_weights(w.read(), packed.data()); });
    result("pack_transposed", config, work, [&] { b_.cpu.pack_transposed(w.read(), packed.data()); });
  }

  void norms() {
    Index const d = c_.dim;
    std::string const config = label(aeth::text(tokens_, "x", d));
    Tensor<float> gain(1, d), d_gain(1, d), inverse(1, tokens_), x(tokens_, d), dx(tokens_, d);
    Tensor<A> y(tokens_, d);
    if (wants("rms_norm", config))
      result("rms_norm", config, {4.0 * static_cast<double>(tokens_ * d), x.bytes() + y.bytes()},
             [&] { b_.cpu.rms_norm(x.read(), gain.data(), 1e-6f, y.view(), inverse.data()); });
    if (wants("rms_norm_backward", config))
      result("rms_norm_backward", config,
             {10.0 * static_cast<double>(tokens_ * d), 2 * x.bytes() + dx.bytes()}, [&] {
               b_.cpu.rms_norm_backward(dx.read(), x.read(), gain.data(), inverse.data(), dx.view(),
                                        d_gain.data(), aeth::Write::overwrite);
             });
  }

  void rotate() {
    Index const heads = c_.mla.heads, r = c_.mla.rope_dim;
    std::string const config = label(aeth::text(tokens_, "x", heads, "x", r));
    if (!wants("rotate", config)) return;
    aeth::nn::RotaryTable<float> table(c_.mla);
    table.reserve(length_);
    std::vector<std::int32_t> positions(to_size(tokens_));
    for (Index t = 0; t < tokens_; ++t) positions[to_size(t)] = static_cast<std::int32_t>(t % length_);
    Tensor<A> q(tokens_, heads * c_.mla.qk_dim());
    double const touched = static_cast<double>(tokens_ * heads * r);
    result("rotate", config, {4.0 * touched, touched * sizeof(A)},
           [&] { b_.cpu.rotate(q.view(), heads, r, positions.data(), table.cosine(), table.sine(), 1); });
  }

  void swiglu() {
    Index const rows = tokens_ * c_.moe.top_k, f = c_.moe.hidden_dim;
    std::string const config = label(aeth::text(rows, "x", f));
    if (!wants("swiglu", config) && !wants("swiglu_backward", config)) return;
    Tensor<A> gate_up(rows, 2 * f), y(rows, f), d_gate_up(rows, 2 * f);
    if (wants("swiglu", config))
      result("swiglu", config, {0, gate_up.bytes() + y.bytes()},
             [&] { b_.cpu.swiglu(gate_up.read(), y.view()); });
    if (wants("swiglu_backward", config))
      result("swiglu_backward", config, {0, 2 * gate_up.bytes() + y.bytes()},
             [&] { b_.cpu.swiglu_backward(y.read(), gate_up.read(), d_gate_up.view()); });
  }

  void add() {
    std::string const config = label(aeth::text(tokens_, "x", c_.dim));
    if (!wants("add", config)) return;
    Tensor<float> y(tokens_, c_.dim);
    Tensor<A> x(tokens_, c_.dim, 1e-9);
    result("add", config, {static_cast<double>(tokens_ * c_.dim), x.bytes() + y.bytes()},
           [&] { b_.cpu.add(x.read(), y.view()); });
  }

  /// The visible (query, key) pairs of causal sequences count, not what tiles compute beyond them.
  void attention() {
    aeth::AttentionShape const shape{c_.mla.heads, c_.mla.nope_dim, c_.mla.rope_dim, c_.mla.v_dim};
    std::string const config = label(aeth::text(tokens_ / length_, "x", length_, " ", shape.heads, " heads"));
    if (!wants("attention", config) && !wants("attention_backward", config)) return;
    std::vector<aeth::AttentionSpan> spans;
    for (Index t = 0; t < tokens_; t += length_) spans.push_back({t, length_, t, length_});
    Index const h = shape.heads, kv_width = h * (shape.nope_dim + shape.v_dim);
    Tensor<A> q(tokens_, h * shape.qk_dim()), kv(tokens_, kv_width), k_pe(tokens_, shape.rope_dim);
    Tensor<A> o(tokens_, h * shape.v_dim), d_o(tokens_, h * shape.v_dim);
    Tensor<A> dq(tokens_, h * shape.qk_dim()), dkv(tokens_, kv_width), dk_pe(tokens_, shape.rope_dim);
    Tensor<float> shift(tokens_, h), inverse_sum(tokens_, h);
    aeth::SoftmaxStatistics<float> const statistics{shift.data(), inverse_sum.data()};
    float const scale = static_cast<float>(aeth::nn::softmax_scale(c_.mla));
    auto const forward = [&] {
      b_.cpu.attention(shape, scale, spans, q.read(), kv.read(), k_pe.read(), o.view(), statistics);
    };
    double const pairs = static_cast<double>(h * (tokens_ / length_) * length_ * (length_ + 1) / 2);
    double const qk = static_cast<double>(shape.qk_dim()), v = static_cast<double>(shape.v_dim);
    double const bytes = q.bytes() + kv.bytes() + k_pe.bytes() + o.bytes();
    forward();
    if (wants("attention", config)) result("attention", config, {2.0 * pairs * (qk + v), bytes}, forward);
    if (wants("attention_backward", config))
      result("attention_backward", config, {2.0 * pairs * (3.0 * qk + 2.0 * v), 2 * bytes}, [&] {
        b_.cpu.attention_backward(shape, scale, spans, q.read(), kv.read(), k_pe.read(), o.read(), statistics,
                                  d_o.read(), dq.view(), dkv.view(), dk_pe.view());
      });
  }

  /// Decoding: one query per sequence against 1024 cached positions.
  void latent_attention(Index sequences) {
    Index const keys = 1024, heads = c_.mla.heads, latent = c_.mla.kv_rank, width = latent + c_.mla.rope_dim;
    std::string const config = label(aeth::text(sequences, " queries, ", keys, " keys, ", heads, " heads"));
    if (!wants("latent_attention", config)) return;
    Tensor<float> q(sequences, heads * width), o(sequences, heads * latent);
    Tensor<A> cache(sequences * keys, width);
    std::vector<aeth::AttentionSpan> spans;
    for (Index s = 0; s < sequences; ++s) spans.push_back({s, 1, s * keys, keys});
    double const pairs = static_cast<double>(sequences * keys * heads);
    float const scale = static_cast<float>(aeth::nn::softmax_scale(c_.mla));
    result("latent_attention", config,
           {2.0 * pairs * static_cast<double>(width + latent), q.bytes() + o.bytes() + cache.bytes()},
           [&] { b_.cpu.latent_attention(heads, latent, scale, spans, q.read(), cache.read(), o.view()); });
  }

  void routing() {
    if (!is_fp32) return;
    Index const experts = c_.moe.experts, k = c_.moe.top_k;
    std::string const config = label(aeth::text(tokens_, " tokens, ", k, " of ", experts));
    aeth::RoutingRule const rule = aeth::nn::routing_rule(c_.moe);
    Tensor<float> logits(tokens_, experts), scores(tokens_, experts), gates(tokens_, k),
        bias(1, experts, 0.1);
    Buffer<std::int32_t> chosen(tokens_ * k);
    MatrixView<std::int32_t> const choice(chosen.data(), tokens_, k);
    b_.cpu.route(rule, logits.read(), bias.data(), scores.view(), choice, gates.view());
    double const bytes = 2 * logits.bytes() + 2 * gates.bytes();
    if (wants("route", config))
      result("route", config, {0, bytes},
             [&] { b_.cpu.route(rule, logits.read(), bias.data(), scores.view(), choice, gates.view()); });
    if (wants("route_backward", config))
      result("route_backward", config, {0, bytes}, [&] {
        b_.cpu.route_backward(rule, scores.read(), choice, gates.read(), MatrixView<float const>{},
                              logits.view());
      });
    std::vector<Index> sequences;
    for (Index t = 0; t <= tokens_; t += length_) sequences.push_back(t);
    std::vector<float> loss(sequences.size());
    if (wants("balance_loss", config))
      result("balance_loss", config, {0, bytes}, [&] {
        b_.cpu.balance_loss({sequences.data(), static_cast<Index>(sequences.size())}, scores.read(), choice,
                            1e-4, loss.data(), logits.view());
      });
  }

  void dispatch() {
    Index const d = c_.dim, k = c_.moe.top_k, rows = tokens_ * k;
    std::string const config = label(aeth::text(rows, "x", d));
    if (!wants("gather", config) && !wants("combine", config) && !wants("combine_backward", config)) return;
    // Row of (token, choice): a fixed permutation that is far from the order of tokens.
    std::vector<std::int32_t> token(to_size(rows)), slot(to_size(rows));
    for (Index i = 0; i < rows; ++i) {
      slot[to_size(i)] = static_cast<std::int32_t>(i % k * tokens_ + i / k);
      token[to_size(slot[to_size(i)])] = static_cast<std::int32_t>(i / k);
    }
    MatrixView<std::int32_t const> const slots(slot.data(), tokens_, k);
    Tensor<A> x(tokens_, d), experts(rows, d, 1e-9), d_experts(rows, d);
    Tensor<float> y(tokens_, d), gates(tokens_, k), d_gates(tokens_, k);
    if (wants("gather", config))
      result("gather", config, {0, x.bytes() + d_experts.bytes()},
             [&] { b_.cpu.gather(x.read(), token.data(), d_experts.view()); });
    if (wants("combine", config))
      result("combine", config, {2.0 * static_cast<double>(rows * d), experts.bytes() + y.bytes()},
             [&] { b_.cpu.combine(experts.read(), slots, gates.read(), y.view()); });
    if (wants("combine_backward", config))
      result("combine_backward", config,
             {3.0 * static_cast<double>(rows * d), y.bytes() + experts.bytes() + d_experts.bytes()}, [&] {
               b_.cpu.combine_backward(y.read(), experts.read(), slots, gates.read(), d_experts.view(),
                                       d_gates.view());
             });
  }

  void cross_entropy() {
    if (!is_fp32) return;
    Index const rows = aeth::min(tokens_, Index{256}), v = c_.vocab_size;
    std::string const config = label(aeth::text(rows, "x", v));
    if (!wants("cross_entropy", config)) return;
    Tensor<float> logits(rows, v);
    std::vector<float> loss(to_size(rows));
    std::vector<std::int32_t> targets(to_size(rows), 1);
    result("cross_entropy", config, {0, logits.bytes()},
           [&] { b_.cpu.cross_entropy(logits.view(), targets.data(), 1e-3f, loss.data()); });
  }

  void optimizer() {
    if (!is_fp32) return;
    for (Index const n : {Index{1} << 18, Index{1} << 24}) {
      std::string const config = aeth::text(n, " weights");
      if (name_ != "mini") continue;
      if (wants("adamw", config)) {
        Tensor<float> w(1, n), g(1, n), m(1, n), v(1, n);
        for (Index i = 0; i < n; ++i) v.data()[i] = std::fabs(v.data()[i]);
        aeth::AdamWConstants<float> const k{1.0f, 0.9f, 0.1f, 0.95f, 0.05f, 1.0f, 1e-8f, -1e-6f, -1e-7f};
        result("adamw", config, {0, 4 * w.bytes()},
               [&] { b_.cpu.adamw(w.data(), g.data(), m.data(), v.data(), n, k); });
      }
      if (wants("sum_of_squares", config)) {
        Tensor<float> g(1, n);
        result("sum_of_squares", config, {2.0 * static_cast<double>(n), g.bytes()},
               [&] { bench::keep(b_.cpu.sum_of_squares<float>(g.data(), n)); });
      }
    }
  }

  void embedding() {
    if (!is_fp32) return;
    std::string const config = label(aeth::text(tokens_, " of ", c_.vocab_size, "x", c_.dim));
    if (!wants("embed", config) && !wants("embed_backward", config)) return;
    Tensor<float> table(c_.vocab_size, c_.dim), x(tokens_, c_.dim, 1e-9);
    std::vector<std::int32_t> ids(to_size(tokens_));
    aeth::Random random(2, aeth::RandomUse::test);
    for (auto& id : ids)
      id = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(c_.vocab_size)));
    if (wants("embed", config))
      result("embed", config, {0, 2 * x.bytes()}, [&] { b_.cpu.embed(table.read(), ids.data(), x.view()); });
    if (wants("embed_backward", config))
      result("embed_backward", config, {0, 2 * x.bytes()},
             [&] { b_.cpu.embed_backward(x.read(), ids.data(), table.view()); });
  }

  Bench b_;
  std::string name_;
  aeth::ModelConfig c_;
  Index tokens_, length_;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [](bench::Options const& options, bench::Report& report) {
    bench::report_peaks(options, report);
    bench::MachinePeak peak(options.level, options.threads);
    aeth::Cpu cpu(options.threads, options.level);
    Bench const b{options, report, peak, cpu};
    Operations<float>(b, "mini", aeth::presets::mini, 16 * 256, 256).run();
    Operations<float>(b, "peer", bench::peer_model, 512, 512).run();
    Operations<aeth::bf16>(b, "mini", aeth::presets::mini, 16 * 256, 256).run();
    Operations<aeth::bf16>(b, "peer", bench::peer_model, 512, 512).run();
    Operations<aeth::bf16>(b, "peer", bench::peer_model, 512, 512).run_f8();
    bench::report_peak_again(options, report);
  });
}
