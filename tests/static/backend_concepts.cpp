// What is a backend and what is not. Compiling is passing.
#include "aeth/backend/concepts.hpp"
#include "aeth/backend/cpu.hpp"
#include "aeth/backend/cpu/reference.hpp"

namespace aeth {
namespace archetype {

/// A backend in all but one operation each. Inheriting a name and hiding it is the shortest way to lack it.
struct NoName : CpuReference {
  int name;
};
struct NoParallel : CpuReference {
  void parallel() = delete;
};
struct NoPackedSize : CpuReference {
  void packed_size() = delete;
};
struct NoPackTransposed : CpuReference {
  void pack_transposed() = delete;
};
struct NoLinearPerHead : CpuReference {
  void linear_per_head() = delete;
};
struct NoWeightGrad : CpuReference {
  void linear_weight_grad() = delete;
};
struct NoGroupedLinear : CpuReference {
  void grouped_linear() = delete;
};
struct NoRmsNormBackward : CpuReference {
  void rms_norm_backward() = delete;
};
struct NoRotate : CpuReference {
  void rotate() = delete;
};
struct NoSwiglu : CpuReference {
  void swiglu() = delete;
};
struct NoAdd : CpuReference {
  void add() = delete;
};
struct NoEmbedBackward : CpuReference {
  void embed_backward() = delete;
};
struct NoReserveAttention : CpuReference {
  void reserve_attention() = delete;
};
struct NoAttentionBackward : CpuReference {
  void attention_backward() = delete;
};
struct NoLatentAttention : CpuReference {
  void latent_attention() = delete;
};
struct NoRoute : CpuReference {
  void route() = delete;
};
struct NoBalanceLoss : CpuReference {
  void balance_loss() = delete;
};
struct NoCombine : CpuReference {
  void combine() = delete;
};
struct NoCrossEntropy : CpuReference {
  void cross_entropy() = delete;
};
struct NoAdamW : CpuReference {
  void adamw() = delete;
};
struct SquaresInFloat : CpuReference {
  template <class T>
  float sum_of_squares(T const*, Index);
};

}  // namespace archetype

// Backend
static_assert(Backend<Cpu>);
static_assert(Backend<Cpu, Fp64>);
static_assert(Backend<Cpu, Bf16>);
static_assert(Backend<Cpu, Fp8>);
static_assert(Backend<CpuReference>);
static_assert(Backend<CpuReference, Fp64>);
static_assert(Backend<CpuReference, Bf16>);
static_assert(!Backend<CpuReference, Fp8>);  // it has no products of codes
static_assert(!Backend<int>);
static_assert(!Backend<Cpu const>);

// HasName, HasParallel
static_assert(!Backend<archetype::NoName> && !HasName<archetype::NoName>);
static_assert(!Backend<archetype::NoParallel> && !HasParallel<archetype::NoParallel>);

// each lacks its own operation and no other
#define AETH_LACKS_ONLY(backend, concept_, other)     \
  static_assert(!Backend<archetype::backend>);        \
  static_assert(!concept_<archetype::backend, Fp32>); \
  static_assert(other<archetype::backend, Fp32>)
AETH_LACKS_ONLY(NoPackedSize, HasPackedWeights, SupportsLinear);
AETH_LACKS_ONLY(NoPackTransposed, HasPackedWeights, SupportsLinear);
AETH_LACKS_ONLY(NoLinearPerHead, SupportsLinear, HasPackedWeights);
AETH_LACKS_ONLY(NoWeightGrad, SupportsLinear, SupportsGroupedLinear);
AETH_LACKS_ONLY(NoGroupedLinear, SupportsGroupedLinear, SupportsLinear);
AETH_LACKS_ONLY(NoRmsNormBackward, SupportsRmsNorm, SupportsLinear);
AETH_LACKS_ONLY(NoRotate, SupportsRotation, SupportsSwiglu);
AETH_LACKS_ONLY(NoSwiglu, SupportsSwiglu, SupportsRotation);
AETH_LACKS_ONLY(NoAdd, SupportsAddition, SupportsEmbedding);
AETH_LACKS_ONLY(NoEmbedBackward, SupportsEmbedding, SupportsAddition);
AETH_LACKS_ONLY(NoReserveAttention, SupportsAttention, SupportsExperts);
AETH_LACKS_ONLY(NoAttentionBackward, SupportsAttention, SupportsExperts);
AETH_LACKS_ONLY(NoLatentAttention, SupportsLatentAttention, SupportsAttention);
AETH_LACKS_ONLY(NoRoute, SupportsRouting, SupportsDenseLayers);
AETH_LACKS_ONLY(NoBalanceLoss, SupportsBalanceLoss, SupportsRouting);
AETH_LACKS_ONLY(NoCombine, SupportsDispatch, SupportsRouting);
AETH_LACKS_ONLY(NoCrossEntropy, SupportsCrossEntropy, SupportsDenseLayers);
AETH_LACKS_ONLY(NoAdamW, SupportsUpdate, SupportsDenseLayers);
AETH_LACKS_ONLY(SquaresInFloat, SupportsUpdate, SupportsDenseLayers);
#undef AETH_LACKS_ONLY

// a residual stream in bf16 is refused: Exact is never narrowed
struct NarrowResidual : Bf16 {
  using Exact = bf16;
};
static_assert(!Precision<NarrowResidual>);

// moments are as wide as the weights, or BF16 beside FP32
struct NarrowMoments : Fp32 {
  using Moment = bf16;
};
struct WideMoments : Fp32 {
  using Moment = double;
};
struct NarrowMomentsOfDoubles : Fp64 {
  using Moment = bf16;
};
static_assert(Precision<NarrowMoments> && Backend<Cpu, NarrowMoments> &&
              Backend<CpuReference, NarrowMoments>);
static_assert(!Precision<WideMoments>);
static_assert(!Precision<NarrowMomentsOfDoubles>);

}  // namespace aeth
