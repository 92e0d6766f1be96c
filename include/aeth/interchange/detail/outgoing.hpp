/// How a model's tensors become those of an export: names, types, and the bytes of each as they are written.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/view.hpp"
#include "aeth/interchange/expected_tensors.hpp"
#include "aeth/interchange/to_config_json.hpp"
#include "aeth/io/safetensors_writer.hpp"
#include "aeth/io/tensor_entry.hpp"
#include "aeth/numeric/bf16.hpp"
#include "aeth/numeric/block_scales.hpp"
#include "aeth/numeric/f8.hpp"

namespace aeth::interchange::detail {

/// A tensor of an export: which tensor of the model, and whether its values, its codes or its scales.
struct Outgoing {
  enum class Form { values, codes, scales };
  std::size_t source = 0;
  Form form = Form::values;
};

/// The element type of a tensor that is not quantised.
[[nodiscard]] inline io::DType plain_type(TensorRole role, WeightType type) noexcept {
  return type == WeightType::f32 || role == TensorRole::bias ? io::DType::f32 : io::DType::bf16;
}

/// Names, types and shapes of an export in the order of the model, `entries` beside `outgoing`. Each MTP module
/// may get copies of embedding and head, which the released files have and serving engines look for.
inline void list_outgoing(ModelConfig const& c, std::vector<ExpectedTensor> const& tensors, WeightType type,
                          bool mtp_copies, std::vector<io::TensorEntry>& entries,
                          std::vector<Outgoing>& outgoing) {
  auto const add = [&](std::string name, io::DType dtype, io::TensorShape shape, Outgoing what) {
    entries.push_back({std::move(name), dtype, std::move(shape), {}});
    outgoing.push_back(what);
  };
  std::size_t embedding = 0, head = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    ExpectedTensor const& t = tensors[i];
    if (t.name == "lm_head.weight") head = i;
    if (type == WeightType::fp8 && t.role == TensorRole::linear) {
      add(t.name, io::DType::f8_e4m3, t.shape(), {i, Outgoing::Form::codes});
      auto const blocks = [](Index n) { return static_cast<std::uint64_t>(ceil_div(n, scale_block)); };
      add(t.name + "_scale_inv", io::DType::f32, {blocks(t.rows), blocks(t.cols)},
          {i, Outgoing::Form::scales});
    } else {
      add(t.name, plain_type(t.role, type), t.shape(), {i, Outgoing::Form::values});
    }
  }
  for (int depth = 0; mtp_copies && depth < c.mtp_depth; ++depth) {
    std::string const name = text("model.layers.", c.layers + depth);
    auto const dtype = plain_type(TensorRole::embedding, type);
    add(name + ".embed_tokens.weight", dtype, tensors[embedding].shape(),
        {embedding, Outgoing::Form::values});
    add(name + ".shared_head.head.weight", dtype, tensors[head].shape(), {head, Outgoing::Form::values});
  }
}

/// Writes the bytes of tensors of a model, as numbers or quantised, through small buffers. `values` are the
/// model's tensors beside `tensors`.
template <class T>
class OutgoingWriter {
 public:
  OutgoingWriter(std::vector<ExpectedTensor> const& tensors, std::vector<std::span<T const>> values,
                 ScaleForm form)
      : tensors_(tensors), values_(std::move(values)), form_(form), scales_(tensors.size()) {}

  /// errors   NumericError for a value that is not finite: no engine could use it
  void write(io::TensorEntry const& entry, Outgoing what, io::SafetensorsWriter& file) {
    expect_finite(what.source);
    if (what.form == Outgoing::Form::scales)
      return file.write(std::as_bytes(std::span(scales_of(what.source))));
    if (what.form == Outgoing::Form::codes) return write_codes(what.source, file);
    if (entry.dtype == io::dtype_of<T>) return file.write(std::as_bytes(values_[what.source]));
    if (entry.dtype == io::DType::bf16) return write_as<bf16>(values_[what.source], file);
    write_as<float>(values_[what.source], file);
  }

 private:
  static constexpr std::size_t piece = std::size_t{1} << 17;

  void expect_finite(std::size_t source) const {
    auto const bad = std::find_if(values_[source].begin(), values_[source].end(),
                                  [](T value) { return !std::isfinite(value); });
    expect<NumericError>(bad == values_[source].end(), "export: ", tensors_[source].name,
                         " holds a value that is not finite at index ", bad - values_[source].begin(),
                         "; export a checkpoint from before it appeared");
  }

  template <class Stored>
  void write_as(std::span<T const> values, io::SafetensorsWriter& file) {
    std::vector<Stored> out((std::min)(piece, values.size()));
    for (std::size_t at = 0; at < values.size(); at += piece) {
      std::size_t const count = (std::min)(piece, values.size() - at);
      for (std::size_t i = 0; i < count; ++i) {
        out[i] = Stored(static_cast<float>(values[at + i]));
        expect<NumericError>(std::isfinite(static_cast<float>(out[i])), "export: ", values[at + i],
                             " is beyond the range of the stored type; export in f32");
      }
      file.write(std::as_bytes(std::span(out).first(count)));
    }
  }

  /// A strip of at most 128 rows in float.
  [[nodiscard]] MatrixView<float const> strip(std::size_t source, Index row) {
    ExpectedTensor const& t = tensors_[source];
    Index const rows = (std::min)(scale_block, t.rows - row);
    auto const values = values_[source].subspan(to_size(row * t.cols), to_size(rows * t.cols));
    strip_.assign(values.begin(), values.end());
    return {strip_.data(), rows, t.cols};
  }

  /// The scales come before the codes in a file, so they are computed once and kept.
  [[nodiscard]] std::vector<float> const& scales_of(std::size_t source) {
    auto& scales = scales_[source];
    ExpectedTensor const& t = tensors_[source];
    if (!scales.empty()) return scales;
    Index const per_row = ceil_div(t.cols, scale_block);
    scales.resize(to_size(ceil_div(t.rows, scale_block) * per_row));
    for (Index row = 0; row < t.rows; row += scale_block)
      strip_scales(strip(source, row), form_, scales.data() + row / scale_block * per_row);
    return scales;
  }

  void write_codes(std::size_t source, io::SafetensorsWriter& file) {
    ExpectedTensor const& t = tensors_[source];
    auto const& scales = scales_of(source);
    Index const per_row = ceil_div(t.cols, scale_block);
    std::vector<e4m3> codes;
    for (Index row = 0; row < t.rows; row += scale_block) {
      auto const block = strip(source, row);
      codes.resize(to_size(block.rows * block.cols));
      quantize_strip(block, scales.data() + row / scale_block * per_row, codes.data());
      file.write(std::as_bytes(std::span(codes)));
    }
    scales_[source] = {};
  }

  std::vector<ExpectedTensor> const& tensors_;
  std::vector<std::span<T const>> values_;
  ScaleForm form_;
  std::vector<std::vector<float>> scales_;
  std::vector<float> strip_;
};

}  // namespace aeth::interchange::detail
