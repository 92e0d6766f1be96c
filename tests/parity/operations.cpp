// Every operation of `Cpu` against its plain twin `CpuReference`, and against itself on every SIMD level and
// number of threads, where not one bit may differ.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/backend/cpu/reference.hpp"
#include "aeth/core/text.hpp"
#include "aeth/nn/moe/dispatch.hpp"
#include "support/catch.hpp"
#include "support/tensor.hpp"

namespace {

using namespace aeth;
using test::random_tensor;
using test::Tensor;

/// What an operation wrote, with the number of roundings on the way to an element. `magnitude`, if given, is
/// per element the sum of the absolute terms; otherwise the largest output stands for it.
template <class T>
struct Written {
  std::string name;
  std::vector<T> values;
  double roundings = 1;
  std::vector<double> magnitude{};
};

template <class T>
using Results = std::vector<Written<T>>;

constexpr double epsilon_of(float) {
  return static_cast<double>(std::numeric_limits<float>::epsilon());
}
constexpr double epsilon_of(double) {
  return std::numeric_limits<double>::epsilon();
}

/// Backends of every level and thread count, the widest and most threads first.
std::vector<std::unique_ptr<Cpu>> const& all_backends() {
  static auto const backends = [] {
    std::vector<std::unique_ptr<Cpu>> out;
    for (int threads = 4; threads > 0; --threads)
      for (SimdLevel const level : all_simd_levels)
        if (level <= best_simd_level()) out.push_back(std::make_unique<Cpu>(threads, level));
    std::reverse(out.begin(), out.end());
    return out;
  }();
  return backends;
}

/// The largest error met so far, in units of its bound.
double worst_share = 0;
std::string worst_name;

/// op(backend) → Results. The reference computes in double and rounds once, so the whole tolerance is Cpu's:
/// spacing of the format × (roundings + 1) × sum of absolute terms.
template <class T, class Operation>
void check(std::string const& what, Operation const& op) {
  INFO(what);
  CpuReference plain;
  Results<T> const wanted = op(plain);
  Results<T> const first = op(*all_backends().front());
  for (std::size_t r = 0; r < wanted.size(); ++r) {
    Written<T> const &a = first[r], &b = wanted[r];
    INFO(b.name);
    REQUIRE(a.values.size() == b.values.size());
    double const largest = test::largest_magnitude(b.values);
    double share = 0;
    for (std::size_t i = 0; i < b.values.size(); ++i) {
      double const bound =
          epsilon_of(T{}) * (b.roundings + 1) * (b.magnitude.empty() ? largest : b.magnitude[i]);
      double const error = std::fabs(static_cast<double>(a.values[i]) - static_cast<double>(b.values[i]));
      if (!(error <= bound)) share = std::numeric_limits<double>::infinity();
      if (bound > 0) share = std::max(share, error / bound);
    }
    CHECK(share <= 1.0);
    if (share > worst_share) {
      worst_share = share;
      worst_name = what + ", " + b.name;
    }
  }
  for (auto const& backend : all_backends()) {
    INFO(to_string(backend->level()) << ", " << backend->threads() << " threads");
    Results<T> const again = op(*backend);
    for (std::size_t r = 0; r < first.size(); ++r) {
      INFO(first[r].name);
      CHECK(test::same_bits(again[r].values, first[r].values));
    }
  }
}

struct Report {
  ~Report() {
    if (std::getenv("AETH_TEST_VERBOSE"))
      std::fprintf(stderr, "largest error: %.3f of its bound in %s\n", worst_share, worst_name.c_str());
  }
} const report;

/// Σ |terms| of a product, by the reference on absolute values.
template <class T>
Tensor<T> absolute(Tensor<T> x) {
  for (T& v : x.values) v = std::fabs(v);
  return x;
}
std::vector<double> as_double(std::vector<float> const& x) {
  return {x.begin(), x.end()};
}
std::vector<double> as_double(std::vector<double> const& x) {
  return x;
}

template <class W, class T>
std::vector<W> packed(auto& backend, Tensor<T> const& w) {
  std::vector<W> out(to_size(backend.template packed_size<W>(w.rows, w.cols)));
  backend.pack_weights(w.view(), out.data());
  return out;
}

/// W: the type in which products take their operands.
template <class T, class W = T>
void check_linear(Index rows, Index in, Index out) {
  auto const x = random_tensor<T>(rows, in, 1), dy = random_tensor<T>(rows, out, 2);
  auto const w = random_tensor<T>(out, in, 3), dw0 = random_tensor<T>(out, in, 4);
  auto const y0 = random_tensor<T>(rows, out, 5), dx0 = random_tensor<T>(rows, in, 6);
  auto const run = [&](auto& backend, auto const& f, Write write) {
    Tensor<T> y = f(y0), dx = f(dx0), dw = f(dw0);
    auto const fx = f(x), fdy = f(dy), fw = f(w);
    auto const p = packed<W>(backend, fw);
    backend.linear(fx.view(), p.data(), y.view(), write);
    std::vector<W> back(to_size(backend.template packed_size<W>(in, out)));
    backend.pack_transposed(fw.view(), back.data());
    backend.linear(fdy.view(), back.data(), dx.view(), write);
    backend.template linear_weight_grad<W>(fdy.view(), fx.view(), dw.view());
    return std::array{y, dx, dw};
  };
  for (Write const write : {Write::overwrite, Write::accumulate}) {
    CpuReference plain;
    auto const bound = run(
        plain, [](auto const& v) { return absolute(v); }, write);
    check<T>(text("linear [", rows, ",", in, "] -> ", out), [&](auto& backend) {
      auto const result = run(
          backend, [](auto const& v) { return v; }, write);
      return Results<T>{
          {"y", result[0].values, static_cast<double>(in), as_double(bound[0].values)},
          {"dx", result[1].values, static_cast<double>(out), as_double(bound[1].values)},
          {"dw", result[2].values, static_cast<double>(rows), as_double(bound[2].values)},
      };
    });
  }
}

/// Groups of the given sizes, empty ones among them.
template <class T, class W = T>
void check_grouped(std::vector<Index> const& sizes, Index in, Index out) {
  std::vector<Index> first{0};
  for (Index const size : sizes) first.push_back(first.back() + size);
  Index const rows = first.back(), groups = static_cast<Index>(sizes.size());
  auto const x = random_tensor<T>(rows, in, 7), dy = random_tensor<T>(rows, out, 8);
  auto const w = random_tensor<T>(groups * out, in, 9), dw0 = random_tensor<T>(groups * out, in, 10);
  auto const run = [&](auto& backend, auto const& f) {
    auto const fx = f(x), fdy = f(dy), fw = f(w);
    Tensor<T> y(rows, out, T(3)), dx(rows, in, T(3)), dw = f(dw0);
    Index const stride = backend.template packed_size<W>(out, in);
    std::vector<W> p(to_size(groups * stride));
    for (Index e = 0; e < groups; ++e)
      backend.pack_weights(fw.view().row_slice(e * out, out), p.data() + e * stride);
    backend.grouped_linear(fx.view(), p.data(), stride, first.data(), groups, y.view());
    Index const back_stride = backend.template packed_size<W>(in, out);
    std::vector<W> back(to_size(groups * back_stride));
    for (Index e = 0; e < groups; ++e)
      backend.pack_transposed(fw.view().row_slice(e * out, out), back.data() + e * back_stride);
    backend.grouped_linear(fdy.view(), back.data(), back_stride, first.data(), groups, dx.view());
    backend.template grouped_linear_weight_grad<W>(fdy.view(), fx.view(), dw.view().row_slice(0, out),
                                                   out * in, first.data(), groups);
    return std::array{y, dx, dw};
  };
  CpuReference plain;
  auto const bound = run(plain, [](auto const& v) { return absolute(v); });
  check<T>(text("grouped linear, ", groups, " groups"), [&](auto& backend) {
    auto const result = run(backend, [](auto const& v) { return v; });
    return Results<T>{
        {"y", result[0].values, static_cast<double>(in), as_double(bound[0].values)},
        {"dx", result[1].values, static_cast<double>(out), as_double(bound[1].values)},
        {"dw", result[2].values, static_cast<double>(rows), as_double(bound[2].values)},
    };
  });
}

/// Per head, of columns with a gap between them; weights [out, in] and, transposed, [in, out].
template <class T, class W = T>
void check_per_head(Index heads, Index rows, Index in, Index out) {
  Index const x_step = in + 3, y_step = out + 2;
  auto const x = random_tensor<T>(rows, heads * x_step, 35), w = random_tensor<T>(heads * out, in, 36),
             w_transposed = random_tensor<T>(heads * in, out, 37);
  auto const run = [&](auto& backend, auto const& f, bool transposed) {
    auto const fx = f(x), fw = f(transposed ? w_transposed : w);
    Index const stride = backend.template packed_size<W>(out, in);
    std::vector<W> p(to_size(heads * stride));
    for (Index h = 0; h < heads; ++h)
      if (transposed)
        backend.pack_transposed(fw.view().row_slice(h * in, in), p.data() + h * stride);
      else
        backend.pack_weights(fw.view().row_slice(h * out, out), p.data() + h * stride);
    Tensor<T> y(rows, heads * y_step, T(3));
    backend.linear_per_head(heads, fx.view(), x_step, in, p.data(), stride, out, y.view(), y_step);
    return y;
  };
  for (bool const transposed : {false, true}) {
    CpuReference plain;
    auto const bound = run(
        plain, [](auto const& v) { return absolute(v); }, transposed);
    check<T>(text("linear per head [", rows, ",", in, "] -> ", out), [&](auto& backend) {
      return Results<T>{{"y",
                         run(
                             backend, [](auto const& v) { return v; }, transposed)
                             .values,
                         static_cast<double>(in), as_double(bound.values)}};
    });
  }
}

template <class T>
void check_rows(Index rows, Index cols) {
  std::string const shape = text(" [", rows, ",", cols, "]");
  auto const x = random_tensor<T>(rows, cols, 11), dy = random_tensor<T>(rows, cols, 12);
  auto const gain = random_tensor<T>(1, cols, 13, 0.3, 1.0), d_gain0 = random_tensor<T>(1, cols, 14);
  double const width = static_cast<double>(cols), height = static_cast<double>(rows);
  // The two terms of dx cancel in part, in a row of one altogether: both count, with r at most about 1/|x|.
  std::vector<double> terms;
  for (Index t = 0; t < rows; ++t) {
    double squares = 1e-3 * width, through = 0;
    for (Index j = 0; j < cols; ++j) {
      double const a = std::fabs(static_cast<double>(x.view()(t, j)));
      squares += a * a;
      through += a * std::fabs(static_cast<double>(dy.view()(t, j) * gain.view()(0, j)));
    }
    double const r = std::sqrt(width / squares);
    for (Index j = 0; j < cols; ++j)
      terms.push_back(r * std::fabs(static_cast<double>(dy.view()(t, j) * gain.view()(0, j))) +
                      r * r * r / width * through * std::fabs(static_cast<double>(x.view()(t, j))) +
                      std::fabs(static_cast<double>(x.view()(t, j))));
  }
  for (Write const write : {Write::overwrite, Write::accumulate})
    check<T>("rms_norm" + shape, [&](auto& backend) {
      Tensor<T> y(rows, cols), inverse(1, rows), dx = x, d_gain = d_gain0;
      backend.rms_norm(x.view(), gain.cview().data, T(1e-3), y.view(), inverse.data());
      backend.rms_norm_backward(dy.view(), x.view(), gain.cview().data, inverse.cview().data, dx.view(),
                                d_gain.data(), write);
      return Results<T>{{"y", y.values, width + 4},
                        {"inverse", inverse.values, width + 4},
                        {"dx", dx.values, width + 12, terms},
                        {"d_gain", d_gain.values, height + width + 8}};
    });

  auto const gate_up = random_tensor<T>(rows, 2 * cols, 15, 3.0);
  check<T>("swiglu" + shape, [&](auto& backend) {
    Tensor<T> y(rows, cols), d(rows, 2 * cols);
    backend.swiglu(gate_up.view(), y.view());
    backend.swiglu_backward(dy.view(), gate_up.view(), d.view());
    return Results<T>{{"y", y.values, 8}, {"d_gate_up", d.values, 12}};
  });

  auto const tokens = test::random_integers(rows, 16, -1, 7);
  auto const table = random_tensor<T>(7, cols, 17);
  check<T>("add, embed" + shape, [&](auto& backend) {
    Tensor<T> sum = x, y(rows, cols), d_table = table;
    backend.add(dy.view(), sum.view());
    backend.embed(table.view(), tokens.data(), y.view());
    backend.embed_backward(dy.view(), tokens.data(), d_table.view());
    return Results<T>{{"sum", sum.values, 1}, {"rows", y.values, 0}, {"d_table", d_table.values, height}};
  });

  auto const logits = random_tensor<T>(rows, cols, 18, 3.0);
  auto const targets = test::random_integers(rows, 19, -1, static_cast<std::int32_t>(cols));
  check<T>("cross entropy" + shape, [&](auto& backend) {
    Tensor<T> d = logits, losses(1, rows);
    backend.cross_entropy(d.view(), targets.data(), T(0.7), losses.data());
    // The shift of the exponent is as large as a logit, about 10, and its rounding counts.
    return Results<T>{{"loss", losses.values, width + 16, std::vector<double>(to_size(rows), 10.0)},
                      {"d_logits", d.values, width + 32, std::vector<double>(to_size(rows * cols), 0.7)}};
  });

  if (cols % 2 == 0) {
    auto const positions = test::random_integers(rows, 20, 0, 9);
    Index const rope = cols - cols % 4 > 0 ? cols - cols % 4 : 2, heads = 3;
    auto angles = random_tensor<double>(9, rope, 21);
    Tensor<T> cosine(9, rope), sine(9, rope);
    for (Index p = 0; p < 9; ++p)
      for (Index i = 0; i < rope; ++i) {
        cosine(p, i) = static_cast<T>(std::cos(angles(p, i - i % 2)));
        sine(p, i) = static_cast<T>((i % 2 == 0 ? -1 : 1) * std::sin(angles(p, i - i % 2)));
      }
    auto const q = random_tensor<T>(rows, heads * (cols + 3), 22);
    for (int const direction : {1, -1})
      check<T>("rotate" + shape, [&](auto& backend) {
        Tensor<T> y = q;
        backend.rotate(y.view(), heads, rope, positions.data(), cosine.cview().data, sine.cview().data,
                       direction);
        return Results<T>{{"y", y.values, 2}};
      });
  }
}

template <class T>
void check_attention(AttentionShape shape, std::vector<AttentionSpan> const& spans, Index queries,
                     Index keys) {
  Index const h = shape.heads, latent = shape.v_dim;
  auto const q = random_tensor<T>(queries, h * shape.qk_dim(), 23);
  auto const kv = random_tensor<T>(keys, h * (shape.nope_dim + shape.v_dim), 24);
  auto const k_pe = random_tensor<T>(keys, shape.rope_dim, 25);
  auto const d_o = random_tensor<T>(queries, h * shape.v_dim, 26);
  T const scale = static_cast<T>(1.0 / std::sqrt(static_cast<double>(shape.qk_dim())));
  // A score is a sum over N + R products, of order sqrt(N + R) here, and its error is one of e^score: three
  // standard deviations of it, then the sum over keys.
  double const terms = 3.0 * static_cast<double>(shape.qk_dim()) + 16;
  double const forward = terms + static_cast<double>(keys),
               backward = 2 * forward + static_cast<double>(queries);
  check<T>(text("attention, ", queries, " queries, ", keys, " keys, ", h, " heads"), [&](auto& backend) {
    Tensor<T> o(queries, h * shape.v_dim), shift(queries, h), inverse(queries, h);
    Tensor<T> dq(q.rows, q.cols), dkv(kv.rows, kv.cols), dk_pe(keys, shape.rope_dim);
    SoftmaxStatistics<T> const statistics{shift.data(), inverse.data()};
    backend.attention(shape, scale, spans, q.view(), kv.view(), k_pe.view(), o.view(), statistics);
    backend.attention_backward(shape, scale, spans, q.view(), kv.view(), k_pe.view(), o.cview(), statistics,
                               d_o.view(), dq.view(), dkv.view(), dk_pe.view());
    return Results<T>{{"o", o.values, forward},           {"shift", shift.values, terms},
                      {"1/sum", inverse.values, forward}, {"dq", dq.values, backward},
                      {"dkv", dkv.values, backward},      {"dk_pe", dk_pe.values, backward}};
  });
  auto const latent_q = random_tensor<T>(queries, h * (latent + shape.rope_dim), 27);
  auto const cache = random_tensor<T>(keys, latent + shape.rope_dim, 28);
  check<T>("latent attention", [&](auto& backend) {
    Tensor<T> o(queries, h * latent);
    backend.latent_attention(h, latent, scale, spans, latent_q.view(), cache.view(), o.view());
    return Results<T>{{"o", o.values, forward + 3.0 * static_cast<double>(latent)}};
  });
}

/// Random numbers around 0, rounded.
Tensor<bf16> rounded_tensor(Index rows, Index cols, std::uint64_t seed) {
  auto const wide = random_tensor<float>(rows, cols, seed);
  Tensor<bf16> out(rows, cols);
  for (std::size_t i = 0; i < wide.values.size(); ++i) out.values[i] = bf16(wide.values[i]);
  return out;
}

/// Attention over a latent cache, with values of `latent` numbers and `rotary` more in a key.
template <class T>
void check_latent(Index heads, Index latent, Index rotary, std::vector<AttentionSpan> const& spans,
                  Index queries, Index keys) {
  auto const q = random_tensor<T>(queries, heads * (latent + rotary), 27);
  auto const cache = random_tensor<T>(keys, latent + rotary, 28);
  double const roundings = 3.0 * static_cast<double>(latent + rotary) + 24 + static_cast<double>(keys);
  check<T>(text("latent attention, ", heads, " heads, ", queries, " queries, ", keys, " keys"),
           [&](auto& backend) {
             Tensor<T> o(queries, heads * latent);
             backend.latent_attention(heads, latent, T(0.4), spans, q.view(), cache.view(), o.view());
             return Results<T>{{"o", o.values, roundings}};
           });
}

/// Rounded queries, keys, values and softmax weights: an error of each output of a few 2⁻⁹ of the largest, where a lost
/// key or a wrong lane makes one of the order of the output itself.
void check_bf16_attention(AttentionShape shape, std::vector<AttentionSpan> const& spans, Index tokens) {
  Index const h = shape.heads, u = shape.v_dim;
  auto const q = rounded_tensor(tokens, h * shape.qk_dim(), 40);
  auto const kv = rounded_tensor(tokens, h * (shape.nope_dim + u), 41);
  auto const k_pe = rounded_tensor(tokens, shape.rope_dim, 42);
  auto const d_o = rounded_tensor(tokens, h * u, 43);
  auto const latent_q = random_tensor<float>(tokens, h * (u + shape.rope_dim), 44);
  auto const cache = rounded_tensor(tokens, u + shape.rope_dim, 45);
  float const scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.qk_dim())));
  auto const run = [&](auto& backend) {
    Tensor<bf16> o(tokens, h * u), dq(q.rows, q.cols), dkv(kv.rows, kv.cols), dk_pe(tokens, shape.rope_dim);
    Tensor<float> shift(tokens, h), inverse(tokens, h), latent_o(tokens, h * u);
    SoftmaxStatistics<float> const statistics{shift.data(), inverse.data()};
    backend.attention(shape, scale, spans, q.view(), kv.view(), k_pe.view(), o.view(), statistics);
    backend.attention_backward(shape, scale, spans, q.view(), kv.view(), k_pe.view(), o.cview(), statistics,
                               d_o.view(), dq.view(), dkv.view(), dk_pe.view());
    backend.latent_attention(h, u, scale, spans, latent_q.view(), cache.view(), latent_o.view());
    std::vector<std::vector<float>> out{latent_o.values};
    for (auto const* t : {&o, &dq, &dkv, &dk_pe}) {
      out.emplace_back();
      for (bf16 const v : t->values) out.back().push_back(static_cast<float>(v));
    }
    return out;
  };
  CpuReference plain;
  auto const wanted = run(plain), first = run(*all_backends().front());
  for (std::size_t r = 0; r < wanted.size(); ++r) {
    INFO("result " << r << " of " << tokens << " tokens");
    double const largest = test::largest_magnitude(wanted[r]);
    double worst = 0;
    for (std::size_t i = 0; i < wanted[r].size(); ++i)
      worst =
          std::max(worst, std::fabs(static_cast<double>(first[r][i]) - static_cast<double>(wanted[r][i])));
    if (std::getenv("AETH_TEST_VERBOSE")) std::fprintf(stderr, "bf16 %zu: %.4f\n", r, worst / largest);
    CHECK(worst <= 0.012 * largest);
  }
  for (auto const& backend : all_backends()) {
    INFO(to_string(backend->level()) << ", " << backend->threads() << " threads");
    CHECK(run(*backend) == first);
  }
}

template <class T>
void check_routing(RoutingRule const& rule, Index tokens, bool biased) {
  auto const logits = random_tensor<T>(tokens, rule.experts, 29);
  auto const bias = random_tensor<T>(1, rule.experts, 30, 0.2, -0.5);
  auto const d_gates = random_tensor<T>(tokens, rule.top_k, 31),
             d_scores = random_tensor<T>(tokens, rule.experts, 32);
  Index const width = 37;
  auto const x = random_tensor<T>(tokens, width, 33),
             rows0 = random_tensor<T>(tokens * rule.top_k, width, 34);
  double const experts = static_cast<double>(rule.experts), k = static_cast<double>(rule.top_k);
  std::vector<Index> const sequences{0, tokens / 3, tokens / 3, tokens};
  check<T>(text("routing, ", tokens, " tokens, ", rule.experts, " experts"), [&](auto& backend) {
    Tensor<T> scores(tokens, rule.experts), gates(tokens, rule.top_k), d_logits(tokens, rule.experts);
    Tensor<T> direct(tokens, rule.experts), losses(1, 3);
    Tensor<std::int32_t> chosen(tokens, rule.top_k);
    backend.route(rule, logits.view(), biased ? bias.cview().data : nullptr, scores.view(), chosen.view(),
                  gates.view());
    for (Index t = 0; t < tokens; ++t)
      for (Index i = 1; i < rule.top_k; ++i) REQUIRE(chosen(t, i - 1) < chosen(t, i));
    backend.route_backward(rule, scores.cview(), chosen.cview(), d_gates.view(), d_scores.view(),
                           d_logits.view());
    std::vector<double> balance_terms;  // weight / tokens · (f_i / Σs + Σ f s / Σs²), f at most E / K
    for (Index t = 0; t < tokens; ++t) {
      double sum = 0;
      for (Index i = 0; i < rule.experts; ++i) sum += static_cast<double>(scores(t, i));
      double const of = static_cast<double>(t < tokens / 3 ? tokens / 3 : tokens - tokens / 3);
      balance_terms.insert(balance_terms.end(), to_size(rule.experts), 0.01 / of * 2 * experts / k / sum);
    }
    backend.balance_loss(VectorView<Index const>(sequences.data(), 4), scores.cview(), chosen.cview(), 0.01,
                         losses.data(), direct.view());
    Arena arena;
    nn::Dispatch dispatch;
    dispatch.reserve(arena, tokens, rule.top_k, rule.experts);
    dispatch.assign(chosen.cview());
    Tensor<T> gathered(rows0.rows, width), y = x, once = x, d_rows(rows0.rows, width), dg(tokens, rule.top_k);
    backend.gather(x.view(), dispatch.token.data, gathered.view());
    backend.combine(rows0.view(), as_const(dispatch.slots), gates.cview(), y.view());
    backend.combine(rows0.view(), as_const(dispatch.slots), MatrixView<T const>{}, once.view());
    backend.combine_backward(x.view(), rows0.view(), as_const(dispatch.slots), gates.cview(), d_rows.view(),
                             dg.view());
    std::vector<T> numbers(chosen.values.begin(), chosen.values.end());
    return Results<T>{{"experts", numbers, -1},  // no rounding at all: the same choice
                      {"scores", scores.values, experts + 8},
                      {"gates", gates.values, experts + k + 12},
                      {"d_logits", d_logits.values, 2 * experts + 2 * k + 16},
                      {"balance loss", losses.values, experts + static_cast<double>(tokens) + 8},
                      {"balance gradient", direct.values, 2 * experts + 16, balance_terms},
                      {"gather", gathered.values, -1},
                      {"combine", y.values, k + experts + 12},
                      {"sum", once.values, k},
                      {"d_rows", d_rows.values, experts + k + 12},
                      {"d_gates", dg.values, static_cast<double>(width)}};
  });
}

/// M: the type of the moments.
template <class T, class M = T>
void check_optimizer(Index size) {
  auto const w0 = random_tensor<T>(1, size, 35), g = random_tensor<T>(1, size, 36),
             m0 = random_tensor<T>(1, size, 37);
  Tensor<T> v0 = absolute(random_tensor<T>(1, size, 38));
  AdamWConstants<T> const constants{.gradient_scale = T(0.5),
                                    .beta1 = T(0.9),
                                    .one_minus_beta1 = T(0.1),
                                    .beta2 = T(0.95),
                                    .one_minus_beta2 = T(0.05),
                                    .inverse_root_correction2 = T(1.3),
                                    .epsilon = T(1e-8),
                                    .minus_step_size = T(-0.01),
                                    .minus_decay = T(-0.001)};
  check<T>(text("adamw, sum of squares, ", size, ", moments of ", sizeof(M), " bytes"), [&](auto& backend) {
    Tensor<T> w = w0, m = m0, v = v0;
    std::vector<M> first(to_size(size)), second(to_size(size));
    for (std::size_t i = 0; i < first.size(); ++i) {
      first[i] = static_cast<M>(m0.values[i]);
      second[i] = static_cast<M>(v0.values[i]);
    }
    backend.adamw(w.data(), g.cview().data, first.data(), second.data(), size, constants);
    for (std::size_t i = 0; i < first.size(); ++i) {
      m.values[i] = static_cast<T>(first[i]);
      v.values[i] = static_cast<T>(second[i]);
    }
    // A moment next to a tie may be rounded the other way: one unit of the narrower type.
    double const unit = sizeof(M) < sizeof(T) ? 0x1p16 : 0;
    std::vector<T> const squares{static_cast<T>(backend.sum_of_squares(g.cview().data, size))};
    return Results<T>{{"weight", w.values, 8},
                      {"first", m.values, 3 + unit},
                      {"second", v.values, 4 + unit},
                      {"squares", squares, 4096.0 / 16 + 5}};
  });
}

}  // namespace

TEMPLATE_TEST_CASE("parity: matrix products", "", float, double) {
  using T = TestType;
  struct Shape {
    Index rows, in, out;
  };
  // One of each; not multiples of 16; more than a panel, a register tile, a task's rows, a block of k.
  for (Shape const s : {Shape{1, 1, 1},
                        {1, 33, 70},
                        {3, 5, 15},
                        {7, 16, 16},
                        {13, 29, 65},
                        {50, 64, 129},
                        {253, 11, 17},
                        {5, 517, 3},
                        {20, 320, 64},
                        {7, 9, 98}})
    check_linear<T>(s.rows, s.in, s.out);
  check_grouped<T>({3, 0, 1, 17, 0}, 13, 21);
  check_grouped<T>({0, 0, 40}, 16, 70);
  check_grouped<T>({0, 0}, 3, 5);
  check_per_head<T>(3, 5, 7, 20);
  check_per_head<T>(2, 1, 64, 129);
}

TEST_CASE("parity: matrix products of BF16 operands") {
  struct Shape {
    Index rows, in, out;
  };
  // Odd and even numbers of pairs along each dimension, and more than a block of k.
  for (Shape const s : {Shape{1, 1, 1},
                        {2, 2, 2},
                        {1, 34, 70},
                        {3, 5, 15},
                        {7, 16, 16},
                        {13, 29, 65},
                        {50, 64, 129},
                        {253, 11, 17},
                        {515, 6, 40},
                        {5, 1029, 3},
                        {7, 9, 50}})
    check_linear<float, bf16>(s.rows, s.in, s.out);
  check_grouped<float, bf16>({3, 0, 1, 17, 0}, 13, 21);
  check_grouped<float, bf16>({0, 0, 40}, 16, 70);
  check_per_head<float, bf16>(3, 5, 7, 20);
  check_per_head<float, bf16>(2, 1, 64, 129);
}

TEST_CASE("parity: a result in BF16 is the sum in FP32, rounded once") {
  for (Index const in : {9, 16, 1030}) {
    auto const x = random_tensor<float>(70, in, 1), w = random_tensor<float>(75, in, 2);
    for (auto const& backend : all_backends()) {
      auto const p = packed<bf16>(*backend, w);
      Tensor<float> y(70, 75);
      Tensor<bf16> rounded(70, 75);
      backend->linear(x.view(), p.data(), y.view());
      backend->linear(x.view(), p.data(), rounded.view());
      std::vector<bf16> wanted;
      for (float const v : y.values) wanted.push_back(bf16(v));
      CHECK(rounded.values == wanted);
    }
  }
}

TEST_CASE("parity: rounding of results, continued and by columns of the left operand") {
  auto const x = random_tensor<float>(33, 10, 1), w = random_tensor<float>(33, 512, 2);
  for (auto const& backend : all_backends()) {
    Tensor<bf16> a(33, 10), b(33, 512), rounded(10, 512, bf16(0.5f));
    for (std::size_t i = 0; i < a.values.size(); ++i) a.values[i] = bf16(x.values[i]);
    for (std::size_t i = 0; i < b.values.size(); ++i) b.values[i] = bf16(w.values[i]);
    Tensor<float> y(10, 512, 0.5f);
    MatmulJob<bf16, float> const wide{10, 512, 33, {a.data(), 10, true}, b.data(), 512, y.data(), 512};
    MatmulJob<bf16, bf16> const narrow{10, 512, 33, {a.data(), 10, true}, b.data(), 512, rounded.data(), 512};
    backend->matmul(&wide, 1, Write::accumulate);
    backend->matmul(&narrow, 1, Write::accumulate);
    std::vector<bf16> wanted;
    for (float const v : y.values) wanted.push_back(bf16(v));
    CHECK(rounded.values == wanted);
  }
}

TEST_CASE("parity: a sum over tokens may be cut anywhere, in BF16 too") {
  auto const dy = random_tensor<float>(41, 19, 1), x = random_tensor<float>(41, 33, 2);
  Cpu cpu(2);
  Tensor<float> whole(19, 33, 0.5f);
  cpu.linear_weight_grad<bf16>(dy.view(), x.view(), whole.view());
  for (Index const cut : {1, 2, 7, 40}) {
    Tensor<float> parts(19, 33, 0.5f);
    cpu.linear_weight_grad<bf16>(dy.view().row_slice(0, cut), x.view().row_slice(0, cut), parts.view());
    cpu.linear_weight_grad<bf16>(dy.view().row_slice(cut, 41 - cut), x.view().row_slice(cut, 41 - cut),
                                 parts.view());
    CHECK(test::same_bits(parts.values, whole.values));
  }
}

TEMPLATE_TEST_CASE("parity: row operations", "", float, double) {
  for (Index const rows : {1, 5, 33})
    for (Index const cols : {1, 2, 16, 37, 70}) check_rows<TestType>(rows, cols);
}

TEMPLATE_TEST_CASE("parity: attention", "", float, double) {
  using T = TestType;
  check_attention<T>({1, 1, 2, 1}, {{0, 1, 0, 1}}, 1, 1);
  check_attention<T>({3, 5, 4, 7}, {{0, 4, 0, 4}, {4, 1, 4, 1}, {5, 28, 5, 28}}, 33, 33);
  check_attention<T>({2, 24, 8, 20}, {{0, 101, 0, 101}}, 101, 101);
  check_attention<T>({2, 9, 6, 17}, {{0, 3, 0, 60}, {3, 50, 60, 51}}, 53, 111);
  // More keys than a task's rows; more heads than lanes.
  check_attention<T>({1, 5, 4, 7}, {{0, 300, 0, 300}}, 300, 300);
  check_attention<T>({20, 5, 4, 7}, {{0, 3, 0, 40}, {3, 0, 40, 0}, {3, 30, 40, 30}}, 33, 70);
}

TEMPLATE_TEST_CASE("parity: attention over a long latent cache", "", float, double) {
  using T = TestType;
  // One block, several, whole groups of blocks and a rest, with and without a query that ends inside one.
  for (Index const keys : {128, 300, 512, 1025, 1700}) {
    check_latent<T>(3, 6, 2, {{0, 1, 0, keys}}, 1, keys);
    check_latent<T>(3, 6, 2, {{0, 20, 0, keys}}, 20, keys);
  }
  check_latent<T>(20, 8, 4, {{0, 5, 0, 700}, {5, 1, 700, 600}}, 6, 1300);
  check_latent<T>(128, 4, 2, {{0, 20, 0, 1100}}, 20, 1100);  // queries are cut: too many blocks
  check_latent<T>(2, 4, 2, {{0, 0, 0, 0}, {0, 2, 0, 5}}, 2, 5);
}

TEST_CASE("parity: attention in BF16 is that in double to the rounding of its operands") {
  check_bf16_attention({3, 5, 4, 7}, {{0, 33, 0, 33}, {33, 1, 33, 1}}, 34);
  check_bf16_attention({2, 24, 8, 20}, {{0, 101, 0, 101}}, 101);
  check_bf16_attention({1, 5, 4, 7}, {{0, 301, 0, 301}}, 301);
}

TEMPLATE_TEST_CASE("parity: routing", "", float, double) {
  using T = TestType;
  for (Index const tokens : {1, 7, 50}) {
    check_routing<T>({.experts = 8, .top_k = 3, .softmax = true}, tokens, false);
    check_routing<T>(
        {.experts = 21, .top_k = 4, .groups = 7, .top_groups = 2, .softmax = true, .gate_scale = 16.0},
        tokens, false);
    check_routing<T>({.experts = 20,
                      .top_k = 5,
                      .groups = 4,
                      .top_groups = 2,
                      .group_by_top_two = true,
                      .normalize = true,
                      .gate_scale = 2.5},
                     tokens, true);
    check_routing<T>({.experts = 5, .top_k = 5, .normalize = true}, tokens, true);
    check_routing<T>({.experts = 64, .top_k = 1, .softmax = true, .normalize = true}, tokens, false);
  }
}

TEMPLATE_TEST_CASE("parity: optimizer loops", "", float, double) {
  for (Index const size : {1, 15, 4096, 40001}) {
    check_optimizer<TestType>(size);
    if constexpr (std::is_same_v<TestType, float>) check_optimizer<float, bf16>(size);
  }
}
