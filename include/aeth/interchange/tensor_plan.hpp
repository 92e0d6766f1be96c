/// Which tensor of a checkpoint goes where in a model, with an account of every tensor of the files.
///
/// Besides the names of the released weights it knows FP8 codes with their scales, experts that newer versions of
/// Transformers store fused (`experts.gate_up_proj` [E,2F,D], gate rows first, `experts.down_proj` [E,D,F]), heads
/// tied to the embedding, and the copies of embedding and head that MTP modules carry.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/interchange/expected_tensors.hpp"
#include "aeth/io/tensor_differences.hpp"
#include "aeth/io/tensor_files.hpp"
#include "aeth/numeric/block_scales.hpp"

namespace aeth::interchange {

/// What became of a tensor of a file.
enum class Fate {
  unknown,      ///< nobody wants it: an error, unless a plan is only looked at
  used,         ///< its numbers are a tensor of the model
  transformed,  ///< they are combined with others (scales) or cut apart (fused experts)
  left_out,     ///< on purpose; the note says why
};

[[nodiscard]] constexpr std::string_view name_of(Fate fate) noexcept {
  constexpr std::string_view names[] = {"unknown", "used", "transformed", "left out"};
  return names[static_cast<int>(fate)];
}

struct LedgerEntry {
  Fate fate = Fate::unknown;
  std::string note;
};

/// Where a tensor of the model comes from: whole rows of a tensor of the files.
struct TensorSource {
  io::StoredTensor const* tensor = nullptr;
  std::uint64_t first_row = 0;               ///< of the stored matrix, or of all fused ones one after another
  io::StoredTensor const* scales = nullptr;  ///< of FP8 codes
  std::uint64_t matrix_rows = 0;             ///< rows of one stored matrix: scales begin anew with each
};

/// Tensors of files that must hold the same numbers as others, or leaving them out would change results.
struct RequiredCopy {
  io::StoredTensor const* copy;
  io::StoredTensor const* original;
};

struct TensorPlan {
  std::vector<ExpectedTensor> expected;
  std::vector<TensorSource> sources;  ///< of each expected tensor
  std::vector<LedgerEntry> ledger;    ///< of each tensor of the files
  std::vector<RequiredCopy> copies;
  io::TensorDifferences differences;  ///< all that does not fit
};

namespace detail {

class Planner {
 public:
  Planner(ModelConfig const& config, io::TensorFiles const& files, bool tied) : c_(config), files_(files) {
    plan_.ledger.resize(files.tensors().size());
    plan_.expected = expected_tensors(config);
    plan_.sources.reserve(plan_.expected.size());
    for (ExpectedTensor const& wanted : plan_.expected) {
      plan_.sources.push_back(find_source(wanted, tied));
      if (!plan_.sources.back().tensor) plan_.differences.add_missing(wanted.name);
    }
    for (std::size_t i = 0; i < files.tensors().size(); ++i)
      if (plan_.ledger[i].fate == Fate::unknown && !leave_out(files.tensors()[i]))
        plan_.differences.add_unknown(files.tensors()[i].name);
  }

  [[nodiscard]] TensorPlan take() { return std::move(plan_); }

 private:
  void record(io::StoredTensor const& t, Fate fate, std::string note) {
    plan_.ledger[static_cast<std::size_t>(&t - files_.tensors().data())] = {fate, std::move(note)};
  }

  [[nodiscard]] TensorSource find_source(ExpectedTensor const& wanted, bool tied) {
    if (io::StoredTensor const* const t = files_.find(wanted.name)) {
      if (tied && wanted.name == "lm_head.weight")
        if (io::StoredTensor const* const e = files_.find("model.embed_tokens.weight"))
          plan_.copies.push_back({t, e});
      return matched(wanted, *t, wanted.shape(), 0, Fate::used, "");
    }
    if (tied && wanted.name == "lm_head.weight")
      if (io::StoredTensor const* const e = files_.find("model.embed_tokens.weight"))
        return matched(wanted, *e, wanted.shape(), 0, Fate::used, "embedding and, tied to it, the head");
    return find_fused(wanted);
  }

  /// "P.experts.7.up_proj.weight" as rows of "P.experts.gate_up_proj".
  [[nodiscard]] TensorSource find_fused(ExpectedTensor const& wanted) {
    constexpr std::string_view experts = ".mlp.experts.";
    std::size_t const at = wanted.name.find(experts);
    if (at == std::string::npos) return {};
    std::size_t const number = at + experts.size(), dot = wanted.name.find('.', number);
    std::uint64_t const e = std::stoul(wanted.name.substr(number, dot - number));
    std::string_view const part = std::string_view(wanted.name).substr(dot + 1);
    bool const down = part == "down_proj.weight";
    io::StoredTensor const* const t =
        files_.find(wanted.name.substr(0, number) + (down ? "down_proj" : "gate_up_proj"));
    if (!t) return {};
    auto const count = static_cast<std::uint64_t>(c_.moe.experts),
               rows = static_cast<std::uint64_t>(wanted.rows);
    std::uint64_t const stored = down ? rows : 2 * rows;
    return matched(wanted, *t, {count, stored, static_cast<std::uint64_t>(wanted.cols)},
                   e * stored + (part == "up_proj.weight" ? rows : 0), Fate::transformed,
                   "cut into its experts");
  }

  /// Checks type and shape, and finds the scales of FP8 codes.
  [[nodiscard]] TensorSource matched(ExpectedTensor const& wanted, io::StoredTensor const& t,
                                     io::TensorShape const& shape, std::uint64_t first_row, Fate fate,
                                     std::string note) {
    TensorSource source{&t, first_row, nullptr,
                        shape.size() == 3 ? shape[1] : static_cast<std::uint64_t>(wanted.rows)};
    auto const unfit = [&](auto const&... parts) {
      if (first_row == 0) plan_.differences.add_wrong(text(io::in_quotes(t.name), parts...));
    };
    if (t.shape != shape)
      unfit(" has shape ", io::shape_text(t.shape), ", the model needs ", io::shape_text(shape));
    if (t.dtype == io::DType::f8_e4m3) {
      source.scales = files_.find(t.name + "_scale_inv");
      if (shape.size() < 2)
        unfit(" has type F8_E4M3, which only matrices have: scales are of blocks of rows and columns");
      else if (source.scales)
        check_scales(*source.scales, shape, unfit);
      else
        unfit(" has type F8_E4M3, but there are no scales ", io::in_quotes(t.name + "_scale_inv"));
      fate = Fate::transformed;
      note += note.empty() ? "codes times scales" : ", codes times scales";
    } else if (!io::is_readable_as<float>(t.dtype)) {
      unfit(" has type ", io::name_of(t.dtype), "; F64, F32, F16, BF16 and F8_E4M3 with scales are read");
    }
    record(t, fate, std::move(note));
    return source;
  }

  template <class Unfit>
  void check_scales(io::StoredTensor const& scales, io::TensorShape shape, Unfit const& unfit) {
    for (std::size_t i = shape.size() - 2; i < shape.size(); ++i)
      shape[i] = ceil_div(shape[i], static_cast<std::uint64_t>(scale_block));
    if (scales.shape != shape)
      unfit(" has scales of shape ", io::shape_text(scales.shape), "; one per block of 128 x 128 makes ",
            io::shape_text(shape));
    if (!io::is_readable_as<float>(scales.dtype) && scales.dtype != io::DType::f8_e8m0)
      unfit(" has scales of type ", io::name_of(scales.dtype), "; F32, F16, BF16 and F8_E8M0 are read");
    record(scales, Fate::transformed, "scales of the codes");
  }

  /// Whether a tensor without a place in the model is one of those that may be left out.
  [[nodiscard]] bool leave_out(io::StoredTensor const& t) {
    std::string_view const name = t.name;
    if (name.ends_with(".rotary_emb.inv_freq")) {
      record(t, Fate::left_out, "rotary frequencies follow from the configuration");
      return true;
    }
    auto const layer = layer_of(name);
    if (!layer || *layer < static_cast<std::uint64_t>(c_.layers)) return false;
    if (*layer >= static_cast<std::uint64_t>(c_.layers + c_.mtp_depth)) {
      if (!files_.find(text("model.layers.", *layer, ".eh_proj.weight"))) return false;
      record(t, Fate::left_out, text("of an MTP module beyond mtp_depth = ", c_.mtp_depth));
      return true;
    }
    bool const embedding = name.ends_with(".embed_tokens.weight"),
               head = name.ends_with(".shared_head.head.weight");
    if (!embedding && !head) return false;
    io::StoredTensor const* original =
        files_.find(embedding ? "model.embed_tokens.weight" : "lm_head.weight");
    if (!original) original = files_.find("model.embed_tokens.weight");
    if (!original) return false;
    record(t, Fate::left_out, "copy of the model's own, which is compared with it");
    plan_.copies.push_back({&t, original});
    return true;
  }

  [[nodiscard]] static std::optional<std::uint64_t> layer_of(std::string_view name) {
    constexpr std::string_view layers = "model.layers.";
    if (!name.starts_with(layers)) return std::nullopt;
    std::uint64_t layer = 0;
    auto const [end, error] = std::from_chars(name.data() + layers.size(), name.data() + name.size(), layer);
    return error == std::errc() ? std::optional(layer) : std::nullopt;
  }

  ModelConfig const& c_;
  io::TensorFiles const& files_;
  TensorPlan plan_;
};

}  // namespace detail

/// The plan for a configuration. What does not fit is in `differences`, and nothing is thrown for it here.
///
/// tied     the head is the embedding where the files have none (config.json: tie_word_embeddings)
/// cost     logarithmic per tensor; reads nothing
[[nodiscard]] inline TensorPlan plan_tensors(ModelConfig const& config, io::TensorFiles const& files,
                                             bool tied) {
  return detail::Planner(config, files, tied).take();
}

}  // namespace aeth::interchange
