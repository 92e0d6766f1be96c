/// The CPU backend: threads, the SIMD level, scratch memory, and the list of operations it offers.
///
/// Each operation is declared here with its meaning and defined in the header of its name beside this one.
/// All of them keep the promise of `detail/kernels_matmul.hpp`: an output element depends on its own inputs
/// only, so threads, tiling and the other rows of a batch change no bit.
///
/// legend   T tokens · D width · H heads · N, R, U non-rotary, rotary and value head sizes
///          E experts · K experts per token
/// types    storage is float, double or bf16; sums are in float, or in double where the result is double
#pragma once

#include <thread>
#include <vector>

#include "aeth/backend/cpu/kernels.hpp"
#include "aeth/backend/cpu/thread_pool.hpp"
#include "aeth/backend/types.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/core/view.hpp"
#include "aeth/numeric/f8_arithmetic.hpp"
#include "aeth/numeric/f8_rows.hpp"
#include "aeth/numeric/f8_statistics.hpp"

namespace aeth {

/// One C (+)= A · B of a group; see `Cpu::matmul`. In BF16, A by columns and a packed B do not go together: their pairs
/// are stored in opposite orders.
template <class X, class Y>
struct MatmulJob {
  Index rows = 0, columns = 0, depth = 0;
  cpu::LeftMatrix<X> a;
  X const* b = nullptr;  ///< row-major [depth, columns] with rows b_row apart, or packed
  Index b_row = 0;       ///< 0 = packed
  Y* c = nullptr;        ///< row-major [rows, columns] with rows c_row apart
  Index c_row = 0;
};

namespace cpu {
struct F8Left;
struct F8Tile;
struct F8TileScales;
template <class Y>
struct F8Job;
struct F8GradientJob;
}  // namespace cpu

namespace cpu {

inline constexpr Index stream_bytes = Index{1}
                                      << 20;  ///< of packed weights that a thread reads together, at most

/// Tasks that a thread takes together, of those that read packed panels of so many bytes for few rows each. Their time is
/// that of reading: one thread reads panels that follow each other in memory, which hardware foresees, and threads meet at
/// the counter of tasks less often. With 0 bytes, where time goes elsewhere: one.
[[nodiscard]] inline Index tasks_at_once(Index panel_bytes, Index tasks, Index threads) {
  return panel_bytes > 0 ? max(Index{1}, min(stream_bytes / panel_bytes, tasks / (4 * threads))) : 1;
}

}  // namespace cpu

/// Executes operations on the host's cores; one operation at a time, from one caller at a time.
class Cpu {
 public:
  static constexpr char const* name = "cpu";

  /// threads = 0 takes all cores. The level may be lowered, for tests or to compare machines.
  explicit Cpu(int threads = 0, SimdLevel level = best_simd_level())
      : pool_(threads > 0 ? threads : static_cast<int>(max(std::thread::hardware_concurrency(), 1u))),
        level_(min(level, best_simd_level())),
        thread_scratch_(to_size(pool_.size())) {}

  [[nodiscard]] int threads() const noexcept { return pool_.size(); }
  [[nodiscard]] SimdLevel level() const noexcept { return level_; }

  /// Scratch that lives until the caller's ArenaScope ends.
  [[nodiscard]] Arena& scratch() noexcept { return scratch_; }

  /// Calls task(i, thread) for i in [0, count); see ThreadPool::run.
  template <class Task>
  void parallel(Index count, Task&& task) {
    pool_.run(count, task);
  }

  /// How products of FP8 operands are computed. Weights that are packed keep the scales they have: set it before a model is
  /// filled, or `Model::prepare` it anew.
  void set_f8_arithmetic(F8Arithmetic const& arithmetic) {
    validate(arithmetic);
    f8_ = arithmetic;
  }
  [[nodiscard]] F8Arithmetic const& f8_arithmetic() const noexcept { return f8_; }
  /// From now on counts what becomes of the operands of FP8 products, at the cost of another pass over each, on one
  /// thread; null ends it. The observation must outlive that; `f8_statistics` of model/f8_statistics.hpp names its parts.
  /// Returns what was counting until now, or null.
  F8Observation* observe_f8(F8Observation* observation) noexcept {
    F8Observation* const before = observation_;
    observation_ = observation;
    return before;
  }

  // --- matrix products: matmul.hpp ---
  //
  // W is the type that products take their operands in: T itself, or bf16 or e4m3, to which both are rounded on the
  // way; how with e4m3, is said in matmul_f8.hpp.

  /// C (+)= A · B for a group of products, each element one fused multiply-add chain over k.
  template <class X, class Y>
  void matmul(MatmulJob<X, Y> const* jobs, Index count, Write write);

  /// Elements that `pack_weights` writes for a [out, in] matrix.
  template <class W>
  [[nodiscard]] static Index packed_size(Index out, Index in);

  /// Reorders w [out, in] into column panels for y = x · wᵀ.
  template <class T, class W>
  void pack_weights(MatrixView<T const> w, W* packed);
  /// The same for y = x · w with w [in, out]; packed_size(out, in) elements.
  template <class T, class W>
  void pack_transposed(MatrixView<T const> w, W* packed);
  /// Rows of w as the codes of FP8 products of all of w represent them: packed as y = x · wᵀ reads them, or,
  /// `transposed`, y = x · w.
  template <class W>
  void pack_from_f8(MatrixView<float const> w, Index row, Index rows, W* packed, bool transposed);
  void pack_weights(MatrixView<float const> w, e4m3* packed);
  void pack_transposed(MatrixView<float const> w, e4m3* packed);

  /// Rounds a matrix to FP8, a scale for each 128 columns of a row, to have it at half the size of BF16 or a quarter of
  /// FP32's. A row with a number that is not finite comes back as NaN, tile by tile.
  template <class X>
  void keep_f8(MatrixView<X const> x, F8Rows const& to);
  template <class X>
  void restore_f8(F8Rows const& from, MatrixView<X> x);

  /// y [T,out] (+)= x [T,in] · wᵀ, w packed.
  template <class X, class Y, class W>
  void linear(MatrixView<X const> x, W const* packed, MatrixView<Y> y, Write write = Write::overwrite);
  template <class X, class Y>
  void linear(MatrixView<X const> x, e4m3 const* packed, MatrixView<Y> y, Write write = Write::overwrite);

  /// One such product per head: of x's columns from h · x_step and the h-th packed weight [out, in], `packed_stride`
  /// elements apart, to y's columns from h · y_step. Columns of y between them keep what they hold.
  template <class X, class Y, class W>
  void linear_per_head(Index heads, MatrixView<X const> x, Index x_step, Index in, W const* packed,
                       Index packed_stride, Index out, MatrixView<Y> y, Index y_step);
  /// Of FP8 weights: x is in BF16 here and not in FP8.
  template <class X, class Y>
  void linear_per_head(Index heads, MatrixView<X const> x, Index x_step, Index in, e4m3 const* packed,
                       Index packed_stride, Index out, MatrixView<Y> y, Index y_step);

  /// dw [out,in] += dyᵀ · x, tokens in order, continuing the sum that dw holds.
  template <class W, class DY, class X, class T>
  void linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw);

  /// Both products over expert groups: rows first[e] .. first[e+1] belong to weight e; weights are
  /// `weight_stride` (packed: `packed_stride`) elements apart.
  template <class X, class Y, class W>
  void grouped_linear(MatrixView<X const> x, W const* packed, Index packed_stride, Index const* first,
                      Index groups, MatrixView<Y> y);
  template <class X, class Y>
  void grouped_linear(MatrixView<X const> x, e4m3 const* packed, Index packed_stride, Index const* first,
                      Index groups, MatrixView<Y> y);
  template <class W, class DY, class X, class T>
  void grouped_linear_weight_grad(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<T> dw0,
                                  Index weight_stride, Index const* first, Index groups);

  // --- row operations: rows.hpp ---

  /// y = x · gain / sqrt(mean(x²) + eps) per row; inverse [T] receives 1 / sqrt(…).
  template <class X, class Y, class T>
  void rms_norm(MatrixView<X const> x, T const* gain, T eps, MatrixView<Y> y, T* inverse);

  /// dx (+)= gradient through the norm, d_gain += (tokens in order).
  template <class DY, class X, class DX, class T>
  void rms_norm_backward(MatrixView<DY const> dy, MatrixView<X const> x, T const* gain, T const* inverse,
                         MatrixView<DX> dx, T* d_gain, Write write);

  /// Rotates the last `rope_dim` columns of each of `heads` slices of x in place; tables [positions,
  /// rope_dim]. direction +1 forward, −1 backward.
  template <class X, class T>
  void rotate(MatrixView<X> x, Index heads, Index rope_dim, std::int32_t const* positions, T const* cosine,
              T const* sine, int direction);

  /// y [T,F] = silu(gate) · up with gate_up [T,2F], gate in the left half.
  template <class X, class Y>
  void swiglu(MatrixView<X const> gate_up, MatrixView<Y> y);
  template <class DY, class X, class D>
  void swiglu_backward(MatrixView<DY const> dy, MatrixView<X const> gate_up, MatrixView<D> d_gate_up);

  /// y += x
  template <class X, class T>
  void add(MatrixView<X const> x, MatrixView<T> y);

  /// Rows of a table: y[t] = table[tokens[t]]; a negative token gives zeros.
  template <class T>
  void embed(MatrixView<T const> table, std::int32_t const* tokens, MatrixView<T> y);

  /// d_table[tokens[t]] += dy[t], tokens in order.
  template <class T>
  void embed_backward(MatrixView<T const> dy, std::int32_t const* tokens, MatrixView<T> d_table);

  // --- attention core: attention.hpp ---

  /// Makes room, so that `attention` and `attention_backward` over spans of up to `keys` keys take no memory
  /// from the system beyond what their tensors' sizes decide.
  template <class T>
  void reserve_attention(AttentionShape shape, Index keys);

  /// Causal attention with one rotary key per token shared by all heads.
  /// q [T,H·(N+R)], kv [S,H·(N+U)] (per head: key, then value), k_pe [S,R] → o [T,H·U].
  template <class X, class Y, class T>
  void attention(AttentionShape shape, T scale, std::vector<AttentionSpan> const& spans,
                 MatrixView<X const> q, MatrixView<X const> kv, MatrixView<X const> k_pe, MatrixView<Y> o,
                 SoftmaxStatistics<T> statistics);

  /// Overwrites dq, dkv and dk_pe; probabilities are computed anew from the statistics.
  template <class X, class T>
  void attention_backward(AttentionShape shape, T scale, std::vector<AttentionSpan> const& spans,
                          MatrixView<X const> q, MatrixView<X const> kv, MatrixView<X const> k_pe,
                          MatrixView<X const> o, SoftmaxStatistics<T> statistics, MatrixView<X const> d_o,
                          MatrixView<X> dq, MatrixView<X> dkv, MatrixView<X> dk_pe);

  /// Attention over the latent cache itself: per head, keys are cache rows [C+R] and values their first C
  /// columns. q [T,H·(C+R)] → o [T,H·C]; each dot product and sum in one fixed order, whatever T is.
  template <class X, class T>
  void latent_attention(Index heads, Index latent_dim, T scale, std::vector<AttentionSpan> const& spans,
                        MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o);

  // --- mixture of experts: routing.hpp ---

  /// logits [T,E] → scores [T,E], the K chosen experts in ascending order and their gates [T,K].
  /// bias [E] or null is added to the scores for the choice only. Ties go to the lower index; NaN is chosen
  /// last.
  template <class T>
  void route(RoutingRule const& rule, MatrixView<T const> logits, T const* bias, MatrixView<T> scores,
             MatrixView<std::int32_t> experts, MatrixView<T> gates);

  /// d_logits from d_gates [T,K] plus, where given, a direct gradient of the scores (balance loss); the
  /// choice itself has no gradient.
  template <class T>
  void route_backward(RoutingRule const& rule, MatrixView<T const> scores,
                      MatrixView<std::int32_t const> experts, MatrixView<T const> d_gates,
                      MatrixView<T const> d_scores, MatrixView<T> d_logits);

  /// See ops/balance_loss.hpp.
  template <class T>
  void balance_loss(VectorView<Index const> sequences, MatrixView<T const> scores,
                    MatrixView<std::int32_t const> experts, double weight, T* loss, MatrixView<T> d_scores);

  /// y[i] = x[rows[i]]
  template <class X>
  void gather(MatrixView<X const> x, std::int32_t const* rows, MatrixView<X> y);

  /// y[t] += Σ_k gates[t,k] · expert_rows[slots[t,k]], k ascending; without gates each counts once.
  template <class X, class T>
  void combine(MatrixView<X const> expert_rows, MatrixView<std::int32_t const> slots,
               MatrixView<T const> gates, MatrixView<T> y);

  /// d_expert_rows[slots[t,k]] = gates[t,k] · dy[t] and d_gates[t,k] = dy[t] · expert_rows[slots[t,k]].
  template <class X, class T>
  void combine_backward(MatrixView<T const> dy, MatrixView<X const> expert_rows,
                        MatrixView<std::int32_t const> slots, MatrixView<T const> gates,
                        MatrixView<X> d_expert_rows, MatrixView<T> d_gates);

  // --- losses and optimizers: training.hpp ---

  /// Per row: loss[t] = log Σ e^logits − logits[target]; logits become d(loss)/d(logits) · scale, or, if
  /// `scale` is 0, are used up. Rows with a negative target get loss 0 and gradient 0.
  template <class T>
  void cross_entropy(MatrixView<T> logits, std::int32_t const* targets, T scale, T* loss);

  /// One AdamW update of `size` elements of flat buffers; moments of T or BF16.
  template <class T, class M>
  void adamw(T* weight, T const* gradient, M* first, M* second, Index size,
             AdamWConstants<T> const& constants);

  /// Σ x² in double, in the order of `backend/sum_of_squares.hpp`.
  template <class T>
  [[nodiscard]] double sum_of_squares(T const* x, Index size);

 private:
  /// x itself, or a copy in type T in scratch, widened or rounded.
  template <class T, class X>
  MatrixView<T const> converted(MatrixView<X const> x);

  template <class X, class T>
  void latent_attention(Index heads, Index latent_dim, T scale, AttentionSpan const& span,
                        MatrixView<T const> q, MatrixView<X const> cache, MatrixView<T> o);

  // matmul_f8.hpp; quantised operands lie in scratch. Of groups, the first weight or gradient is named to observers.
  [[nodiscard]] float f8_scale(MatrixView<float const> block) const;
  template <class X>
  static void observe(F8Statistics& total, MatrixView<X const> x, float const* scales, Index row_stride,
                      Index rows_per_scale, Index columns_per_scale);
  void reserve_f8_scratch(bool limited);
  void add_f8_part(cpu::F8Tile const& tile, Index depth, bool first, bool last, bool accumulate,
                   cpu::F8TileScales const& scales, cpu::LeftMatrix<bf16> a, cpu::RightMatrix<bf16> b,
                   float* scratch, cpu::Ahead ahead = {}) const;
  void pack_f8(MatrixView<float const> w, e4m3* packed, bool transposed);
  template <class X>
  cpu::F8Left quantized_rows(MatrixView<X const> x, e4m3 const* weight);
  template <class X>
  cpu::F8Left quantized_columns(MatrixView<X const> x, Index const* first, Index groups,
                                float const* gradient, F8Operand operand);
  template <class Y>
  void matmul_f8(cpu::F8Job<Y> const* jobs, Index count, Write write, bool limited);
  void weight_grad_f8(cpu::F8GradientJob const* jobs, Index count);
  template <class DY, class X>
  void weight_grad_f8(MatrixView<DY const> dy, MatrixView<X const> x, MatrixView<float> dw0,
                      Index weight_stride, Index const* first, Index groups);

  ThreadPool pool_;
  SimdLevel level_;
  Arena scratch_;
  std::vector<Arena> thread_scratch_;
  F8Arithmetic f8_;
  F8Observation* observation_ = nullptr;
};

}  // namespace aeth
