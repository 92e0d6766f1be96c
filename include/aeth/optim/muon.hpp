/// Muon: momentum whose direction is orthogonalized, for the matrices of hidden layers; AdamW for all other tensors.
///
///   B ← μ·B + G,   D = NewtonSchulz(G + μ·B)      (without Nesterov: of B)
///   W ← W - η·λ·W - η · 0.2·sqrt(max(rows, cols)) · D
///
/// An orthogonal D has a root mean square of sqrt(1/max(rows, cols)). The factor brings it to 0.2, about that of AdamW's
/// updates, so both parts share rate and decay, and those found for AdamW serve.
///
/// source   Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; decay, factor and AdamW's
///          part: Moonlight, Liu et al. 2025, arXiv:2502.16982, §2.2. AdamW has embedding, output head and norms there;
///          routers and all other matrices are Muon's, as in `examples/toy_train.py` of github.com/MoonshotAI/Moonlight
#pragma once

#include <cmath>
#include <concepts>
#include <span>
#include <string>

#include "aeth/backend/concepts.hpp"
#include "aeth/core/arena.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/core/view.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/check.hpp"
#include "aeth/optim/newton_schulz.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::optim {

/// The defaults are Moonlight's; decay and clipping are of all tensors, as there.
struct MuonOptions {
  double momentum = 0.95;     ///< μ, share of the old direction
  bool nesterov = true;       ///< look ahead along the new direction
  double update_rms = 0.2;    ///< root mean square of a matrix's update, per unit of learning rate
  double beta1 = 0.9;         ///< AdamW's, as are the next two
  double beta2 = 0.95;        ///< share of the old mean of squared gradients
  double epsilon = 1e-8;      ///< has the unit of a gradient
  double weight_decay = 0.1;  ///< λ, per unit of learning rate
  double clip = 1.0;          ///< largest global norm of the gradients; infinity = no clipping

  /// Of the tensors that are not Muon's.
  [[nodiscard]] constexpr AdamWOptions adamw() const {
    return {.beta1 = beta1, .beta2 = beta2, .epsilon = epsilon, .weight_decay = weight_decay, .clip = clip};
  }
};

/// errors   UsageError that names the field
inline void validate(MuonOptions const& o) {
  detail::require_below_one("MuonOptions::momentum", o.momentum);
  detail::require_positive("MuonOptions::update_rms", o.update_rms);
  detail::require_below_one("MuonOptions::beta1", o.beta1);
  detail::require_below_one("MuonOptions::beta2", o.beta2);
  detail::require_positive("MuonOptions::epsilon", o.epsilon);
  detail::require_not_negative("MuonOptions::weight_decay", o.weight_decay);
  detail::require_clip("MuonOptions::clip", o.clip);
}

/// Every option by value: what a resumed run must share.
[[nodiscard]] inline std::string describe(MuonOptions const& o) {
  return text(o.nesterov ? "Muon, Nesterov momentum " : "Muon, momentum ", o.momentum, ", update RMS ",
              o.update_rms, "; ", describe(o.adamw()));
}

/// The optimizer: options and the update of a matrix. The first moment is B for matrices and AdamW's for other tensors.
///
/// memory   two moments per weight, as AdamW, so that buffers and checkpoints have one form; the second of matrices
///          stays 0 and is never read: 4 bytes per weight of a matrix unused, 2 where moments are BF16
class Muon {
 public:
  using Options = MuonOptions;
  static constexpr int moments = 2;
  static constexpr bool takes_matrices = true;

  /// errors   UsageError that names the field
  explicit Muon(Options const& options = {})
      : options_((validate(options), options)), adamw_(options.adamw()) {}

  [[nodiscard]] Options const& options() const noexcept { return options_; }
  [[nodiscard]] AdamW const& elementwise() const noexcept { return adamw_; }

  /// AdamW's update, of a range that is no matrix.
  ///
  /// errors   UsageError for a matrix, which needs a backend
  template <std::floating_point T, MomentType<T> M>
  void update(std::span<T> weights, std::span<T const> gradients, OptimizerState<T, M> const& state,
              ParameterRange range, UpdateStep const& step) const {
    expect<UsageError>(!range.is_matrix(), "Muon: range ", range.begin, " .. ", range.end,
                       " is a matrix, which is updated on a backend; give apply_step an optim::OnBackend");
    adamw_.update(weights, gradients, state, range, step);
  }

  /// Overwrites the weights and first moments of a matrix. The same bits on any number of threads.
  ///
  /// types    momentum, direction and weights in T; momentum is rounded to M when it is stored, after the direction has
  ///          seen it
  /// cost     a pass over gradients and moments, `orthogonalize`, a pass over weights; rows · cols numbers and what
  ///          `orthogonalize` needs are taken from `scratch` and given back
  template <HasParallel B, std::floating_point T, MomentType<T> M>
  void update_matrix(B& backend, std::span<T> weights, std::span<T const> gradients,
                     OptimizerState<T, M> const& state, ParameterRange range, UpdateStep const& step,
                     Arena& scratch) const {
    double const longer = static_cast<double>(max(range.rows, range.cols));
    SgdFactors<T> const k{
        .gradient_scale = static_cast<T>(step.gradient_scale),
        .momentum = static_cast<T>(options_.momentum),
        .nesterov = options_.nesterov,
        .minus_rate = static_cast<T>(-step.rate * options_.update_rms * std::sqrt(longer)),
        .minus_decay = static_cast<T>(range.decay ? -step.rate * options_.weight_decay : 0.0),
    };
    ArenaScope const scope(scratch);
    auto const direction = scratch.matrix<T>(range.rows, range.cols);
    Index const size = range.end - range.begin;
    T const* const gradient = gradients.data() + range.begin;
    M* const momentum = state.first.data() + range.begin;
    T* const weight = weights.data() + range.begin;
    detail::fill(backend, direction.data, size,
                 [=](Index i) { return sgd_direction(gradient[i], momentum[i], k); });
    orthogonalize(backend, direction, scratch);
    detail::fill(backend, weight, size, [=](Index i) { return sgd_moved(weight[i], direction.data[i], k); });
  }

 private:
  Options options_;
  AdamW adamw_;
};

}  // namespace aeth::optim
