/// What this machine can reach, measured in the same run as the results that are compared with it: fused
/// multiply-adds per second, dot products of BF16 pairs and of INT8 quadruples, and bytes read per second from
/// buffers of a given size.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "aeth/core/buffer.hpp"
#include "support/harness.hpp"

#if AETH_X86_64
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#if defined(__clang__)
#define AETH_BENCH_UNROLL _Pragma("unroll")
#else
#define AETH_BENCH_UNROLL _Pragma("GCC unroll 16")
#endif

namespace bench {

/// Independent chains of multiply-adds: enough to hide their latency, few enough for the registers. Dot products take
/// longer and have twice the registers.
inline constexpr int chains = 12, dot_chains = 16;

/// Reads `size` floats (a multiple of 64), `passes` times.
using ReadLoop = float (*)(float const* from, aeth::Index size, aeth::Index passes);
/// `steps` multiply-adds in each lane of each chain; returns something that depends on all.
using MultiplyAddLoop = float (*)(aeth::Index steps, float factor, float offset);

/// The loops of a level; those over dot products are null where the machine has no such instruction. The functions
/// are never inlined and their results are kept, so nothing can be left out.
struct PeakLoops {
  MultiplyAddLoop multiply_add;
  ReadLoop read;
  int lanes;
  MultiplyAddLoop dot_bf16 = nullptr, dot_int8 = nullptr;
};

/// The vectors of the baseline instruction set, for machines or levels without wider ones: multiply, then
/// add.
namespace baseline {
using Vector [[gnu::vector_size(16)]] = float;

[[gnu::noinline]] inline float multiply_add(aeth::Index steps, float factor, float offset) {
  Vector const a = {factor, factor, factor, factor}, b = {offset, offset, offset, offset};
  Vector sum[chains];
  for (int i = 0; i < chains; ++i) sum[i] = b * static_cast<float>(i);
  for (aeth::Index s = 0; s < steps; ++s) {
    AETH_BENCH_UNROLL
    for (int i = 0; i < chains; ++i) sum[i] = sum[i] * a + b;
  }
  float total = 0;
  for (auto const& x : sum) total += x[0] + x[1] + x[2] + x[3];
  return total;
}

[[gnu::noinline]] inline float read(float const* from, aeth::Index size, aeth::Index passes) {
  Vector sum[4] = {};
  for (aeth::Index pass = 0; pass < passes; ++pass) {
    for (aeth::Index i = 0; i < size; i += 16) {
      AETH_BENCH_UNROLL
      for (int v = 0; v < 4; ++v) {
        Vector x;
        __builtin_memcpy(&x, from + i + 4 * v, sizeof x);
        sum[v] += x;
      }
    }
    keep_all();
  }
  Vector const total = sum[0] + sum[1] + sum[2] + sum[3];
  return total[0] + total[1] + total[2] + total[3];
}
}  // namespace baseline

#if AETH_X86_64
namespace avx2 {
[[gnu::noinline, gnu::target("avx2,fma")]] inline float multiply_add(aeth::Index steps, float factor,
                                                                     float offset) {
  __m256 const a = _mm256_set1_ps(factor), b = _mm256_set1_ps(offset);
  __m256 sum[chains];
  AETH_BENCH_UNROLL
  for (int i = 0; i < chains; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  for (aeth::Index s = 0; s < steps; ++s) {
    AETH_BENCH_UNROLL
    for (int i = 0; i < chains; ++i) sum[i] = _mm256_fmadd_ps(sum[i], a, b);
  }
  __m256 total = sum[0];
  AETH_BENCH_UNROLL
  for (int i = 1; i < chains; ++i) total = _mm256_add_ps(total, sum[i]);
  float lanes[8];
  _mm256_storeu_ps(lanes, total);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

[[gnu::noinline, gnu::target("avx2,fma")]] inline float read(float const* from, aeth::Index size,
                                                             aeth::Index passes) {
  __m256 sum[8];
  AETH_BENCH_UNROLL
  for (int v = 0; v < 8; ++v) sum[v] = _mm256_setzero_ps();
  for (aeth::Index pass = 0; pass < passes; ++pass) {
    for (aeth::Index i = 0; i < size; i += 64) {
      AETH_BENCH_UNROLL
      for (int v = 0; v < 8; ++v) sum[v] = _mm256_add_ps(sum[v], _mm256_loadu_ps(from + i + 8 * v));
    }
    keep_all();
  }
  AETH_BENCH_UNROLL
  for (int v = 1; v < 8; ++v) sum[0] = _mm256_add_ps(sum[0], sum[v]);
  return _mm256_cvtss_f32(sum[0]);
}
}  // namespace avx2

namespace avx512 {
[[gnu::noinline, gnu::target("avx512f")]] inline float multiply_add(aeth::Index steps, float factor,
                                                                    float offset) {
  __m512 const a = _mm512_set1_ps(factor), b = _mm512_set1_ps(offset);
  __m512 sum[chains];
  AETH_BENCH_UNROLL
  for (int i = 0; i < chains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (aeth::Index s = 0; s < steps; ++s) {
    AETH_BENCH_UNROLL
    for (int i = 0; i < chains; ++i) sum[i] = _mm512_fmadd_ps(sum[i], a, b);
  }
  __m512 total = sum[0];
  AETH_BENCH_UNROLL
  for (int i = 1; i < chains; ++i) total = _mm512_add_ps(total, sum[i]);
  float lanes[16], result = 0;
  _mm512_storeu_ps(lanes, total);
  for (float const lane : lanes) result += lane;
  return result;
}

[[gnu::noinline, gnu::target("avx512f")]] inline float read(float const* from, aeth::Index size,
                                                            aeth::Index passes) {
  __m512 sum[4];
  AETH_BENCH_UNROLL
  for (int v = 0; v < 4; ++v) sum[v] = _mm512_setzero_ps();
  for (aeth::Index pass = 0; pass < passes; ++pass) {
    for (aeth::Index i = 0; i < size; i += 64) {
      AETH_BENCH_UNROLL
      for (int v = 0; v < 4; ++v) sum[v] = _mm512_add_ps(sum[v], _mm512_loadu_ps(from + i + 16 * v));
    }
    keep_all();
  }
  float lanes[16];
  _mm512_storeu_ps(lanes, _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
  return lanes[0];
}

[[gnu::noinline, gnu::target("avx512f,avx512bf16")]] inline float dot_bf16(aeth::Index steps, float factor,
                                                                           float offset) {
  __m512bh const a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(factor), _mm512_set1_ps(factor)),
                 b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(offset), _mm512_set1_ps(offset));
  __m512 sum[dot_chains];
  AETH_BENCH_UNROLL
  for (int i = 0; i < dot_chains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (aeth::Index s = 0; s < steps; ++s) {
    AETH_BENCH_UNROLL
    for (int i = 0; i < dot_chains; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
  }
  __m512 total = sum[0];
  AETH_BENCH_UNROLL
  for (int i = 1; i < dot_chains; ++i) total = _mm512_add_ps(total, sum[i]);
  float lanes[16];
  _mm512_storeu_ps(lanes, total);
  return lanes[0];
}

/// The bytes are 7 · factor and 1000 · offset.
[[gnu::noinline, gnu::target("avx512f,avx512vnni")]] inline float dot_int8(aeth::Index steps, float factor,
                                                                           float offset) {
  __m512i const a = _mm512_set1_epi32(0x01010101 * static_cast<int>(7 * factor)),
                b = _mm512_set1_epi32(0x01010101 * static_cast<int>(1000 * offset));
  __m512i sum[dot_chains];
  AETH_BENCH_UNROLL
  for (int i = 0; i < dot_chains; ++i) sum[i] = _mm512_set1_epi32(i);
  for (aeth::Index s = 0; s < steps; ++s) {
    AETH_BENCH_UNROLL
    for (int i = 0; i < dot_chains; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
  }
  __m512i total = sum[0];
  AETH_BENCH_UNROLL
  for (int i = 1; i < dot_chains; ++i) total = _mm512_add_epi32(total, sum[i]);
  alignas(64) int lanes[16];
  _mm512_store_si512(lanes, total);
  return static_cast<float>(lanes[0]);
}
}  // namespace avx512
#endif

inline PeakLoops peak_loops(aeth::SimdLevel level) {
#if AETH_X86_64
  if (level >= aeth::SimdLevel::avx512)
    return {avx512::multiply_add, avx512::read, 16,
            level == aeth::SimdLevel::avx512_bf16 ? avx512::dot_bf16 : nullptr,
            __builtin_cpu_supports("avx512vnni") ? avx512::dot_int8 : nullptr};
  if (level == aeth::SimdLevel::avx2) return {avx2::multiply_add, avx2::read, 8};
#endif
  (void)level;
  return {baseline::multiply_add, baseline::read, 4};
}

/// Which of many short samples is taken: the best, a limit that can be reached, as a short sample has a chance to be alone
/// on a machine that others use too; or the median, what the machine gives at that moment.
enum class Taken { best, median };

/// Peaks of one level and number of threads, measured when asked for and then remembered.
///
/// The threads are its own and begin together: a pool would let one thread do the work of another that is
/// late, and so take the peak of one core for that of all. Each stays on a core.
class MachinePeak {
 public:
  static constexpr int samples = 40;

  MachinePeak(aeth::SimdLevel level, int threads, Taken taken = Taken::best)
      : loops_(peak_loops(level)), threads_(threads), taken_(taken) {}

  /// GFLOP/s in FP32, two per multiply-add.
  double compute() { return rate(loops_.multiply_add, loops_.lanes * chains, fp32_); }

  /// GFLOP/s of dot products of BF16 numbers, summed in FP32; 0 without an instruction for them.
  double compute_bf16() { return rate(loops_.dot_bf16, 32 * dot_chains, bf16_); }

  /// GOP/s of dot products of INT8 numbers, summed in INT32; 0 without an instruction for them.
  double compute_int8() { return rate(loops_.dot_int8, 64 * dot_chains, int8_); }

  /// The peak for operands of a precision of the library: with "bf16" and "fp8" that of dot products, unless two multiply-adds are
  /// faster.
  double compute(std::string_view precision) {
    return precision == "bf16" || precision == "fp8" ? std::max(compute_bf16(), compute()) : compute();
  }

  /// GB/s when `bytes` are read again and again, each thread its part; from 256 MiB on no cache holds them.
  double bandwidth(double bytes) {
    auto const floats = static_cast<aeth::Index>(bytes / sizeof(float));
    aeth::Index const part = aeth::max(aeth::min(floats, largest) / threads_ / 64 * 64, aeth::Index{64});
    if (auto const known = bandwidths_.find(part); known != bandwidths_.end()) return known->second;
    if (buffer_.size() < part * threads_) buffer_ = aeth::Buffer<float>(part * threads_);
    aeth::Index const passes = aeth::max((aeth::Index{1} << 24) / part, aeth::Index{1});
    double const seconds =
        sampled([&](aeth::Index i) { keep(loops_.read(buffer_.data() + i * part, part, passes)); });
    double const read = static_cast<double>(part * threads_ * passes) * sizeof(float);
    return bandwidths_[part] = read / seconds * 1e-9;
  }

 private:
  static constexpr aeth::Index largest = aeth::Index{1} << 26;  // 256 MiB

  /// 1e9 operations per second of a loop with so many multiply-adds per step; 0 without a loop.
  double rate(MultiplyAddLoop loop, int multiply_adds, double& known) {
    if (known > 0 || loop == nullptr) return known;
    constexpr aeth::Index steps = 200000;
    double const seconds = sampled([&](aeth::Index) { keep(loop(steps, one_, tiny_)); });
    return known = 2e-9 * multiply_adds * static_cast<double>(steps) * threads_ / seconds;
  }

  /// Seconds of the sample that is taken; a first one does not count.
  template <class Body>
  double sampled(Body const& body) const {
    (void)together(body);
    Samples times;
    for (int i = 0; i < samples; ++i) times.seconds.push_back(together(body));
    times.sort();
    return taken_ == Taken::best ? times.fastest() : times.median();
  }

  /// body(i) on each thread i at once: seconds from the first begin to the last end.
  template <class Body>
  double together(Body const& body) const {
    std::vector<double> begin(static_cast<std::size_t>(threads_)), end(begin);
    std::atomic<int> absent = threads_;
    auto const work = [&](int i) {
      stay_on_core(i);
      absent.fetch_sub(1);
      while (absent.load() > 0) std::this_thread::yield();
      begin[static_cast<std::size_t>(i)] = now(Clock::wall);
      body(i);
      end[static_cast<std::size_t>(i)] = now(Clock::wall);
    };
    std::vector<std::thread> all;
    for (int i = 0; i < threads_; ++i) all.emplace_back(work, i);
    for (auto& thread : all) thread.join();
    return *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
  }

  /// Keeps the calling thread on the i-th core that this process may use, where the system lets us.
  static void stay_on_core(int i) {
#if defined(__linux__)
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
      if (!CPU_ISSET(core, &allowed) || i-- > 0) continue;
      CPU_ZERO(&one);
      CPU_SET(core, &one);
      (void)sched_setaffinity(0, sizeof one, &one);
      return;
    }
#else
    (void)i;
#endif
  }

  PeakLoops loops_;
  int threads_;
  Taken taken_;
  aeth::Buffer<float> buffer_;
  std::map<aeth::Index, double> bandwidths_;
  double fp32_ = 0, bf16_ = 0, int8_ = 0;
  // Not known to the compiler, and such that the sums stay normal numbers.
  float volatile one_source_ = 0.999f, tiny_source_ = 1e-3f;
  float one_ = one_source_, tiny_ = tiny_source_;
};

/// The least time in which the machine could do it with operands of this precision, and which of its limits that is.
struct Limit {
  double seconds = 0;
  char const* by = "compute";
};
inline Limit limit_of(MachinePeak& peak, std::string_view precision, double flop, double bytes,
                      double working_set) {
  double const compute = flop * 1e-9 / peak.compute(precision);
  double const memory = bytes > 0 ? bytes * 1e-9 / peak.bandwidth(working_set) : 0;
  return memory > compute ? Limit{memory, "memory"} : Limit{compute, "compute"};
}

inline void report_peak(Report& report, std::string const& bench, std::string const& config,
                        std::string const& precision, std::string const& unit, double value, int threads,
                        aeth::SimdLevel level) {
  report.add({.bench = bench,
              .config = config,
              .precision = precision,
              .unit = unit,
              .value = value,
              .least = value,
              .most = value,
              .samples = MachinePeak::samples},
             threads, aeth::to_string(level));
}

/// A row for the multiply-adds. Made anew when a run ends, it shows whether the machine has changed
/// meanwhile.
inline void report_compute(Report& report, MachinePeak& peak, std::string const& config, int threads,
                           aeth::SimdLevel level) {
  report_peak(report, "machine.multiply_add", config, "fp32", "GFLOP/s", peak.compute(), threads, level);
}

/// Rows for the limits themselves: one thread and all, every level of the machine.
inline void report_peaks(Options const& o, Report& report) {
  std::vector<int> counts{1};
  if (o.threads > 1) counts.push_back(o.threads);
  for (int const threads : counts)
    for (auto const level : aeth::all_simd_levels) {
      if (level > o.level) continue;
      MachinePeak peak(level, threads);
      report_compute(report, peak, "at the start", threads, level);
      if (level != o.level) continue;
      if (double const bf16 = peak.compute_bf16(); bf16 > 0)
        report_peak(report, "machine.dot_bf16", "at the start", "bf16", "GFLOP/s", bf16, threads, level);
      if (double const int8 = peak.compute_int8(); int8 > 0)
        report_peak(report, "machine.dot_int8", "at the start", "int8", "GOP/s", int8, threads, level);
      constexpr std::pair<char const*, double> sizes[] = {
          {"64 KiB", 0x1p16}, {"1 MiB", 0x1p20}, {"8 MiB", 0x1p23}, {"256 MiB", 0x1p28}};
      for (auto const& [name, bytes] : sizes)
        report_peak(report, "machine.read", name, "fp32", "GB/s", peak.bandwidth(bytes), threads, level);
    }
}

/// To be called when all else is done.
inline void report_peak_again(Options const& o, Report& report) {
  MachinePeak peak(o.level, o.threads);
  report_compute(report, peak, "at the end", o.threads, o.level);
}

}  // namespace bench
