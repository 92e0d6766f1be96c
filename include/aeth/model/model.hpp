/// A whole DeepSeek-style language model: its layers and the flat buffers that hold every weight.
///
/// legend   L layers · D width · V vocabulary
/// source   DeepSeek-V3, arXiv:2412.19437, §2; tensor names and order as in the released Hugging Face weights
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "aeth/backend/concepts.hpp"
#include "aeth/config/model_config.hpp"
#include "aeth/config/validate.hpp"
#include "aeth/core/buffer.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/random.hpp"
#include "aeth/nn/block.hpp"
#include "aeth/nn/linear.hpp"
#include "aeth/nn/mtp.hpp"
#include "aeth/nn/parameter.hpp"
#include "aeth/nn/rms_norm.hpp"
#include "aeth/numeric/precision.hpp"

namespace aeth {

/// One named tensor in the flat buffers.
struct ParameterInfo {
  std::string name;
  Index offset = 0;
  Index rows = 0;
  Index cols = 0;
  nn::ParameterKind kind = nn::ParameterKind::matrix;
  [[nodiscard]] Index size() const { return rows * cols; }
};

class Cpu;

/// Weights, layers and names. Activations belong to a pass (`model/pass.hpp`), caches to a session
/// (`infer/`).
///
/// Weights, gradients and moments are flat buffers with equal offsets; `parameters()` names their parts in
/// order. Matrix products read prepared copies, so call `prepare` after changing weights.
///
/// cost     memory per parameter: a master weight (until `release_masters`) and a packed weight, for training
///          also a gradient and another packed weight, before optimizer state
template <ModelConfig C, Precision P, class B = Cpu>
class Model {
  static_assert(validate_model<C>());

 public:
  using Config = ModelConfig;
  using PrecisionPolicy = P;
  using Backend = B;
  using Master = typename P::Master;
  using Exact = typename P::Exact;
  using Activation = typename P::Activation;
  using Weight = typename P::Weight;
  using WideWeight = typename P::WideWeight;
  using Block = nn::Block<nn::block_config(C), P, B>;
  using Mtp = nn::Mtp<nn::block_config(C), P, B>;
  using Head = nn::Linear<P, B, WideWeight>;

  static constexpr ModelConfig config = C;

  /// All weights zero; `initialize` or a checkpoint fills them. Cold, like other set-up: compiled for size.
  [[gnu::cold]] explicit Model(B& backend) : backend_(backend), rotary_(C.mla) {
    static_assert(aeth::Backend<B, P>,
                  "aeth: Model needs a backend with every operation of backend/concepts.hpp");
    for (int layer = 0; layer < C.layers; ++layer) blocks_.emplace_back(C.is_moe_layer(layer), C.ffn_dim);
    for (int depth = 0; depth < C.mtp_depth; ++depth) mtp_.emplace_back(C.ffn_dim);
    Index offset = 0;
    visit_parameters([&](std::string const& name, nn::Parameter<Master>& p) {
      p.offset = offset;
      offset += p.size();
      parameters_.push_back({name, p.offset, p.rows, p.cols, p.kind});
    });
    weights_ = Buffer<Master>(offset);
    visit_parameters(
        [&](std::string const&, nn::Parameter<Master>& p) { p.weight = weights_.data() + p.offset; });
    list_packed();
    packed_ = place_packed(false);
    bias_layers_ = 0;
    for_each_bias([&](std::string const& name, VectorView<Exact>& bias) {
      bias_names_.push_back(name);
      bias_layers_ += bias.size > 0 ? 1 : 0;
    });
    biases_ = Buffer<Exact>(bias_layers_ * C.moe.experts);
    Index at = 0;
    for_each_bias([&](std::string const&, VectorView<Exact>& bias) {
      bias.data = biases_.data() + at;
      at += bias.size;
    });
  }
  Model(Model const&) = delete;
  Model& operator=(Model const&) = delete;

  /// Matrices from N(0, C.init_std²), norm gains 1, selection biases 0. Each tensor has a random stream of
  /// its own, so the same name gets the same numbers in a deeper or shallower model.
  void initialize(std::uint64_t seed) {
    require_masters();
    for (ParameterInfo const& p : parameters_) {
      Random random(seed, RandomUse::init, hash(p.name));
      for (Index i = 0; i < p.size(); ++i)
        weights_[p.offset + i] =
            p.kind == nn::ParameterKind::norm ? Master(1) : static_cast<Master>(random.normal() * C.init_std);
    }
    biases_.clear();
    prepare();
  }

  /// Refreshes what is derived from the master weights; cost: a pass over them, two in a model that trains.
  void prepare() { prepare(0, weights_.size()); }

  /// Gives up the master weights that products read in packed form, gradients, and all that only backward reads: what
  /// is left infers as before. The model can no longer be saved, changed or trained.
  [[gnu::cold]] void release_masters() {
    auto const stays = [](nn::ParameterKind kind) {
      return kind == nn::ParameterKind::norm || kind == nn::ParameterKind::embedding;
    };
    Index size = 0;
    for (ParameterInfo const& p : parameters_) size += stays(p.kind) ? p.size() : 0;
    Buffer<Master> kept(std::exchange(size, 0));
    visit_parameters([&](std::string const&, nn::Parameter<Master>& p) {
      p.gradient = nullptr;
      Master const* const from = std::exchange(p.weight, nullptr);
      if (!from || !stays(p.kind)) return;
      Master* const to = kept.data() + std::exchange(size, size + p.size());
      for (Index i = 0; i < p.size(); ++i) to[i] = from[i];
      p.weight = to;
    });
    weights_ = std::move(kept);
    gradients_ = {};
    packed_backward_ = {};
    for_each_packed([]<class W>(nn::PackedWeights<Master, W>& w) {
      if (w.training) w.data = nullptr;
    });
    released_ = true;
  }

  /// Refreshes only what is complete with the master weights [begin, end), those before them being final: so a
  /// model can be prepared while it is loaded.
  [[gnu::cold]] void prepare(Index begin, Index end) {
    require_masters();
    for_each_packed([&]<class W>(nn::PackedWeights<Master, W>& w) {
      for (Index copy = 0; copy < w.copies; ++copy)
        if (w.data && w.end_of(copy) > begin && w.end_of(copy) <= end) w.pack(backend_, copy);
    });
  }

  /// Makes room for gradients, zeroed, and for the forms of weights that backward reads; without it the model only
  /// infers.
  [[gnu::cold]] void enable_gradients() {
    require_masters();
    if (!gradients_.empty()) return;
    gradients_ = Buffer<Master>(weights_.size());
    visit_parameters(
        [&](std::string const&, nn::Parameter<Master>& p) { p.gradient = gradients_.data() + p.offset; });
    packed_backward_ = place_packed(true);
    prepare();
  }

  [[nodiscard]] B& backend() const { return backend_; }
  [[nodiscard]] std::vector<ParameterInfo> const& parameters() const { return parameters_; }
  /// errors   UsageError after release_masters()
  [[nodiscard]] VectorView<Master> weights() {
    require_masters();
    return weights_.view();
  }
  [[nodiscard]] VectorView<Master const> weights() const {
    require_masters();
    return weights_.view();
  }
  [[nodiscard]] VectorView<Master> gradients() { return gradients_.view(); }
  /// Selection biases of all layers that have one, [layers with bias, E], in layer order.
  [[nodiscard]] MatrixView<Exact> biases() { return {biases_.data(), bias_layers_, C.moe.experts}; }
  [[nodiscard]] MatrixView<Exact const> biases() const {
    return {biases_.data(), bias_layers_, C.moe.experts};
  }
  [[nodiscard]] std::vector<std::string> const& bias_names() const { return bias_names_; }

  /// Layers with experts, MTP modules last: the rows of every load table.
  [[nodiscard]] static constexpr Index moe_layers() {
    Index count = C.moe.experts > 0 ? C.mtp_depth : 0;
    for (int layer = 0; layer < C.layers; ++layer) count += C.is_moe_layer(layer) ? 1 : 0;
    return count;
  }

  /// Moves every selection bias against the load [moe_layers(), E] of the last batch.
  void update_biases(MatrixView<std::int64_t const> load, double rate) {
    Index row = 0;
    auto const next = [&](auto& layer) {
      layer.update_bias(VectorView<std::int64_t const>(load.row(row++), C.moe.experts), rate);
    };
    for (Block& block : blocks_)
      if (block.has_experts()) next(block);
    if constexpr (C.moe.experts > 0)
      for (Mtp& module : mtp_) next(module);
  }

  /// Weights as products read them, layer after layer: each as forward has it, then as backward does (`training`), whose
  /// data are null in a model that does not train; parts of them for absorbed attention.
  [[nodiscard]] std::vector<nn::PackedWeights<Master, Weight>*> const& packed_weights() const {
    return packed_weights_;
  }
  [[nodiscard]] std::deque<Block> const& blocks() const { return blocks_; }
  [[nodiscard]] std::deque<Mtp> const& mtp() const { return mtp_; }
  [[nodiscard]] nn::Parameter<Master> const& embedding() const { return embedding_; }
  [[nodiscard]] nn::RmsNorm<P, B> const& final_norm() const { return final_norm_; }
  [[nodiscard]] Head const& head() const { return head_; }

  /// Rotary tables that reach at least `positions`; throws ShapeError past C.max_context.
  [[nodiscard]] nn::RotaryTable<Exact> const& rotary(Index positions) const {
    expect<ShapeError>(positions <= C.max_context, "model: ", positions,
                       " positions asked for, ModelConfig::max_context is ", C.max_context,
                       "; shorten the input or raise max_context");
    rotary_.reserve(positions);
    return rotary_;
  }

 private:
  void require_masters() const {
    expect<UsageError>(
        !released_,
        "model: its master weights were given up by release_masters(); load it anew to save, change or "
        "train it");
  }

  /// Gives the packed weights that inference needs, or those that training needs beside them, their places in a
  /// buffer, each at the begin of a cache line.
  [[gnu::cold]] Buffer<std::byte> place_packed(bool training) {
    Buffer<std::byte> buffer;
    Index bytes = 0;
    auto const visit = [&]<class W>(nn::PackedWeights<Master, W>& w) {
      if (w.training != training) return;
      w.stride = B::template packed_size<W>(w.out, w.in);
      if (!buffer.empty()) w.data = reinterpret_cast<W*>(buffer.data() + bytes);
      bytes +=
          round_up(w.copies * w.stride * static_cast<Index>(sizeof(W)), static_cast<Index>(buffer_alignment));
    };
    for_each_packed(visit);
    buffer = Buffer<std::byte>(std::exchange(bytes, 0));
    for_each_packed(visit);
    return buffer;
  }

  template <class Visit>
  void visit_parameters(Visit&& visit) {
    visit("model.embed_tokens.weight", embedding_);
    for (std::size_t i = 0; i < blocks_.size(); ++i) blocks_[i].for_each_parameter(layer_name(i), visit);
    final_norm_.for_each_parameter("model.norm", visit);
    head_.for_each_parameter("lm_head", visit);
    for (std::size_t k = 0; k < mtp_.size(); ++k)
      mtp_[k].for_each_parameter(layer_name(blocks_.size() + k), visit);
  }
  template <class Visit>
  void for_each_packed(Visit const& visit) {
    for (auto* const w : packed_weights_) visit(*w);
    for (auto* const w : packed_wide_) visit(*w);
    for (auto* const w : packed_exact_) visit(*w);
  }
  /// Lists them once: walking through the layers is compiled for one visitor only.
  [[gnu::cold]] void list_packed() {
    auto const add = [this]<class W>(nn::PackedWeights<Master, W>& w) {
      if constexpr (std::is_same_v<W, Weight>)
        packed_weights_.push_back(&w);
      else if constexpr (std::is_same_v<W, WideWeight>)
        packed_wide_.push_back(&w);
      else
        packed_exact_.push_back(&w);
    };
    for (Block& block : blocks_) block.for_each_packed(add);
    head_.for_each_packed(add);
    for (Mtp& module : mtp_) module.for_each_packed(add);
  }
  template <class Visit>
  void for_each_bias(Visit&& visit) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) blocks_[i].for_each_bias(layer_name(i), visit);
    for (std::size_t k = 0; k < mtp_.size(); ++k)
      mtp_[k].for_each_bias(layer_name(blocks_.size() + k), visit);
  }
  static std::string layer_name(std::size_t layer) { return "model.layers." + std::to_string(layer); }

  /// FNV-1a, cut to the 52 bits that a random stream's item may have.
  static std::uint64_t hash(std::string const& name) {
    std::uint64_t h = 0xcbf29ce484222325u;
    for (char const c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return h >> 12;
  }

  B& backend_;
  nn::Parameter<Master> embedding_{C.vocab_size, C.dim, nn::ParameterKind::embedding};
  std::deque<Block> blocks_;  // a deque: layers hold pointers into themselves and must not move
  nn::RmsNorm<P, B> final_norm_{C.dim, C.norm_eps};
  Head head_{C.vocab_size, C.dim, nn::ParameterKind::head};
  std::deque<Mtp> mtp_;
  std::vector<ParameterInfo> parameters_;
  std::vector<std::string> bias_names_;
  Buffer<Master> weights_, gradients_;
  std::vector<nn::PackedWeights<Master, Weight>*> packed_weights_;
  std::vector<nn::PackedWeights<Master, WideWeight>*> packed_wide_;  ///< where Weight is narrower
  std::vector<nn::PackedWeights<Master, Exact>*> packed_exact_;      ///< routers' where Weight is narrower
  Buffer<std::byte> packed_, packed_backward_;
  Buffer<Exact> biases_;
  Index bias_layers_ = 0;
  bool released_ = false;
  mutable nn::RotaryTable<Exact> rotary_;
};

}  // namespace aeth
