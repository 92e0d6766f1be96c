/// Precision policies: for each role of a number in a model, the type it is stored and computed in.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "aeth/numeric/bf16.hpp"
#include "aeth/numeric/f8.hpp"

namespace aeth {

/// IEEE single for everything.
struct Fp32 {
  static constexpr std::string_view name = "fp32";
  using Master = float;  ///< weights as the optimizer sees them, gradients
  using Moment = float;  ///< the optimizer's running means, between steps
  using Weight = float;  ///< weights as matrix products see them
  using WideWeight =
      float;  ///< the same for the output head, MTP's projection and the absorbed form of attention
  using Activation = float;   ///< inputs and outputs of matrix products, and their gradients
  using Accumulator = float;  ///< sums of products
  using Exact = float;        ///< embeddings, residual stream, norms, router, softmax, loss: never narrowed
  using Kept = float;         ///< what SwiGLU took, from forward to backward
  /// Whether backward computes again what is cheap: outputs of norms and of SwiGLU, queries, keys and values of their
  /// latents, experts' inputs. Otherwise it is kept from forward.
  static constexpr bool recomputes = false;
};

/// IEEE double for everything: the oracle of the finite-difference tests.
struct Fp64 {
  static constexpr std::string_view name = "fp64";
  using Master = double;
  using Moment = double;
  using Weight = double;
  using WideWeight = double;
  using Activation = double;
  using Accumulator = double;
  using Exact = double;
  using Kept = double;
  static constexpr bool recomputes = false;
};

/// BF16 weights and activations in matrix products, FP32 for all else. Products accumulate in FP32.
///
/// source   DeepSeek-V3, arXiv:2412.19437, §3.3: which roles stay in higher precision
struct Bf16 {
  static constexpr std::string_view name = "bf16";
  using Master = float;
  using Moment = float;
  using Weight = bf16;
  using WideWeight = bf16;
  using Activation = bf16;
  using Accumulator = float;
  using Exact = float;
  using Kept = bf16;
  static constexpr bool recomputes = false;
};

/// Products of the linear layers in attention, feed-forward layers and experts take operands of E4M3 with a scale per
/// tile, forward and backward; their results, and all else of Bf16, stay BF16 or FP32: attention, the output head, MTP's
/// projection, embedding, router, norms. The optimizer's moments are BF16 between steps (optim/adamw.hpp). What a product does exactly is said in backend/cpu/matmul_f8.hpp. Between forward
/// and backward SwiGLU's inputs are E4M3 with a scale per tile of a row; what backward can compute again is not kept; the
/// output of attention is kept in BF16, where DeepSeek has a format of 12 bits.
///
/// The absorbed form of attention multiplies queries and sums in BF16 with the codes of its weights; where blocks of 128
/// rows do not end with heads, with the weights they stand for, rounded to BF16 (DeepSeek's inference code does that always).
///
/// source   DeepSeek-V3, arXiv:2412.19437, §3.2.3, §3.3.1, §3.3.3 and figure 6
struct Fp8 {
  static constexpr std::string_view name = "fp8";
  using Master = float;
  using Moment = bf16;
  using Weight = e4m3;
  using WideWeight = bf16;
  using Activation = bf16;
  using Accumulator = float;
  using Exact = float;
  using Kept = e4m3;
  static constexpr bool recomputes = true;
};

template <class T>
concept StorageType = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bf16>;

template <class T>
concept OperandType = StorageType<T> || std::same_as<T, e4m3>;

template <class P>
concept HasStorageTypes = StorageType<typename P::Master> && OperandType<typename P::Weight> &&
    StorageType<typename P::WideWeight> && StorageType<typename P::Activation>;

/// Moments are of the weights' type, or BF16 for weights of single precision.
template <class M, class T>
concept MomentType = std::same_as<M, T> ||(std::same_as<M, bf16>&& std::same_as<T, float>);

template <class P>
concept HasMoment = MomentType<typename P::Moment, typename P::Master>;

template <class P>
concept HasKept = std::same_as<typename P::Kept, typename P::Activation> ||
    (std::same_as<typename P::Kept, e4m3>&& P::recomputes);

template <class P>
concept HasAccumulator = std::floating_point<typename P::Accumulator> &&
                             sizeof(typename P::Accumulator) >= sizeof(typename P::Activation) &&
                         std::same_as<typename P::Accumulator, typename P::Master>&& std::same_as<
                             typename P::Exact, typename P::Master>;

template <class P>
concept HasName = requires {
  { P::name } -> std::convertible_to<std::string_view>;
};

/// A precision policy: all roles named, the accumulator as wide as the master weights.
template <class P>
concept Precision = HasName<P> && HasStorageTypes<P> && HasAccumulator<P> && HasMoment<P> && HasKept<P>;

}  // namespace aeth
