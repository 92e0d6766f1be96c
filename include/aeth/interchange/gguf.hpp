/// Whole models as GGUF files, as llama.cpp runs them: weights, configuration and tokenizer in one. Needs
/// nlohmann-json.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/interchange/gguf_config.hpp"
#include "aeth/interchange/gguf_config_reader.hpp"
#include "aeth/interchange/gguf_plan.hpp"
#include "aeth/interchange/gguf_tokenizer.hpp"
#include "aeth/interchange/read_tensors.hpp"
#include "aeth/io/finite.hpp"
#include "aeth/io/gguf.hpp"
#include "aeth/io/gguf_writer.hpp"
#include "aeth/io/read_ahead.hpp"
#include "aeth/io/tensor_differences.hpp"
#include "aeth/model/weight_slots.hpp"
#include "aeth/model/weights.hpp"
#include "aeth/numeric/bf16.hpp"
#include "aeth/numeric/f16.hpp"
#include "aeth/numeric/q8_0.hpp"

namespace aeth::interchange {

/// How matrices are stored. Norms, routers and selection biases are F32 in any case.
enum class GgufWeights {
  f32,   ///< as they are
  bf16,  ///< rounded to nearest, half the size
  q8_0,  ///< a quarter of the size; matrices whose rows are no multiple of 32 become F16
};

struct GgufOptions {
  GgufWeights weights = GgufWeights::f32;
  std::string name = "aeth";  ///< general.name, what programs show
};

namespace detail {

/// The type of a tensor in a file. F16 where Q8_0 has no whole blocks: that is what llama.cpp's converter
/// does.
[[nodiscard]] inline io::GgmlType gguf_type(GgufPlan const& plan, GgufWeights weights) {
  if (plan.exact || weights == GgufWeights::f32) return io::GgmlType::f32;
  if (weights == GgufWeights::bf16) return io::GgmlType::bf16;
  return plan.columns() % Q8_0Block::size == 0 ? io::GgmlType::q8_0 : io::GgmlType::f16;
}

/// The keys about the file as a whole. Source: the numbers of `general.file_type` in llama.cpp's llama.h.
[[nodiscard]] inline io::GgufMetadata gguf_general_keys(GgufOptions const& options) {
  std::uint32_t const file_type = options.weights == GgufWeights::f32    ? 0
                                  : options.weights == GgufWeights::bf16 ? 32
                                                                         : 7;
  return {{"general.type", std::string("model")},
          {"general.name", options.name},
          {"general.file_type", file_type},
          {"general.quantization_version", std::uint32_t{2}}};
}

/// Appends a row in a type of the file.
///
/// errors   NumericError for a number that the type cannot hold: F32 and BF16 hold infinities and NaN, but no finite
///          number becomes infinite
inline void encode_row(io::GgmlType type, std::span<float const> row, std::string_view name,
                       std::vector<std::byte>& out) {
  auto const append = [&](auto const& value) {
    auto const bytes = std::as_bytes(std::span(&value, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  auto const refuse = [&](auto const& cannot_hold) {
    for (float const v : row)
      if (cannot_hold(v))
        throw NumericError(text("gguf: tensor ", io::in_quotes(name), " holds ", v, ", which ",
                                io::name_of(type), " cannot hold; write the file as f32"));
  };
  switch (type) {
    case io::GgmlType::q8_0:
      refuse([](float v) { return !(std::fabs(v) <= Q8_0Block::largest); });
      for (std::size_t at = 0; at < row.size(); at += Q8_0Block::size) append(encode_q8_0(&row[at]));
      return;
    case io::GgmlType::f16:
      refuse([](float v) { return !(std::fabs(v) <= 65504.0F); });
      for (float const v : row) append(to_f16(v));
      return;
    case io::GgmlType::bf16:
      refuse([](float v) { return std::isfinite(v) && !std::isfinite(static_cast<float>(bf16(v))); });
      for (float const v : row) append(bf16(v));
      return;
    default:
      auto const bytes = std::as_bytes(row);
      out.insert(out.end(), bytes.begin(), bytes.end());
  }
}

/// The model's tensors that each tensor of a file is made of. T is const for reading.
template <class M>
class GgufSources {
 public:
  using T = std::conditional_t<std::is_const_v<M>, typename M::Master const, typename M::Master>;

  explicit GgufSources(M& model) {
    for (WeightSlot<T>& slot : weight_slots(model)) slots_.emplace(std::move(slot.name), slot.values.data());
  }

  /// Calls visit(number, column) for a row of a file's tensor.
  template <class Visit>
  void row(GgufPlan const& plan, std::uint64_t row, Visit&& visit) const {
    GgufRow const place = gguf_row(plan, std::remove_const_t<M>::config.mla, row);
    T* at = slots_.at(plan.sources[place.source]) + place.first;
    for (std::uint64_t i = 0; i < plan.columns(); ++i) visit(at[i * place.stride], i);
  }

 private:
  std::unordered_map<std::string, T*> slots_;
};

template <class M>
void save_gguf(M const& model, io::GgufMetadata metadata, std::string const& path,
               GgufOptions const& options) {
  metadata.merge(gguf_config_keys(M::config));
  metadata.merge(gguf_general_keys(options));
  auto const plans = gguf_plan(M::config);
  GgufSources<M const> const sources(model);
  std::vector<io::GgufOutput> tensors;
  for (GgufPlan const& plan : plans) {
    io::GgmlType const type = gguf_type(plan, options.weights);
    tensors.push_back({plan.name, type, plan.shape, [&sources, &plan, type](io::ByteSink const& sink) {
                         std::vector<float> row(static_cast<std::size_t>(plan.columns()));
                         std::vector<std::byte> bytes;
                         for (std::uint64_t r = 0; r < plan.rows(); ++r) {
                           sources.row(plan, r, [&](auto value, std::uint64_t i) {
                             row[static_cast<std::size_t>(i)] = static_cast<float>(value);
                           });
                           bytes.clear();
                           encode_row(type, row, plan.name, bytes);
                           sink(bytes);
                         }
                       }});
  }
  io::write_gguf(path, tensors, metadata);
}

/// The tensors of a file for each plan.
///
/// errors   IoError that lists all that are missing, unknown or unfit
[[nodiscard]] inline std::vector<io::GgufPlace const*> match_tensors(std::span<GgufPlan const> plans,
                                                                     io::GgufFile const& file) {
  io::TensorDifferences differences;
  std::unordered_set<std::string_view> wanted;
  std::vector<io::GgufPlace const*> out;
  for (GgufPlan const& plan : plans) {
    wanted.insert(plan.name);
    io::GgufPlace const* const t = out.emplace_back(file.find(plan.name));
    if (t == nullptr)
      differences.add_missing(plan.name);
    else if (t->shape != plan.shape)
      differences.add_wrong(text(io::in_quotes(t->name), " has shape ", io::shape_text(t->shape),
                                 ", the model has ", io::shape_text(plan.shape)));
    else if (!io::is_readable(t->type))
      differences.add_wrong(text(io::in_quotes(t->name), " has type ", io::name_of(t->type),
                                 "; F64, F32, F16, BF16 and Q8_0 are read"));
  }
  for (io::GgufPlace const& t : file.tensors())
    if (wanted.count(t.name) == 0) differences.add_unknown(t.name);
  differences.check(file.path(), "give the file of this configuration, or convert it again");
  return out;
}

/// Rows [first, first + count) of the tensor of a plan.
struct GgufPiece {
  std::size_t plan;
  std::uint64_t first, count;
};

/// Copies the numbers of a file into a model, on all its threads.
template <class M>
void read_gguf(M& model, io::GgufFile const& file, std::vector<GgufPlan> const& plans,
               std::vector<io::GgufPlace const*> const& tensors, bool allow_nonfinite) {
  using T = typename M::Master;
  std::vector<GgufPiece> pieces;
  std::vector<io::FilePiece> places;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    std::uint64_t const all = plans[i].rows(),
                        part = max(std::uint64_t{1}, piece_elements / plans[i].columns()),
                        row_bytes = tensors[i]->size / all;
    for (std::uint64_t row = 0; row < all; row += part) {
      pieces.push_back({i, row, min(part, all - row)});
      places.push_back({0, tensors[i]->offset + row * row_bytes, pieces.back().count * row_bytes});
    }
  }
  auto& backend = model.backend();
  GgufSources<M> const sources(model);
  io::ReadAhead ahead(std::span(&file.file(), 1), std::move(places));
  backend.parallel(backend.threads(), [&](Index, int) {
    std::vector<T> values;
    ahead.work_through(pieces.size(), [&](std::size_t index, std::span<std::byte const> bytes) {
      GgufPiece const& piece = pieces[index];
      GgufPlan const& plan = plans[piece.plan];
      io::GgufPlace const& tensor = *tensors[piece.plan];
      values.resize(static_cast<std::size_t>(piece.count * plan.columns()));
      io::copy_values(io::GgufTensor{tensor.name, tensor.type, {}, bytes}, 0, values.size(), values.data());
      if (!allow_nonfinite)
        io::expect_finite(values.data(), values.size(), tensor.name, piece.first * plan.columns(),
                          file.path());
      T const* next = values.data();
      for (std::uint64_t row = piece.first; row < piece.first + piece.count; ++row)
        sources.row(plan, row, [&](T& number, std::uint64_t) { number = *next++; });
    });
  });
}

}  // namespace detail

/// Writes a model and its tokenizer as one GGUF file, in one step. MTP modules are left out: see gguf_plan().
///
/// Weights of Fp64 models are rounded to F32.
///
/// errors   ConfigError if llama.cpp would compute the configuration differently, or if the tokenizer has more
///          ids than the model; DataError as gguf_tokenizer_keys(); NumericError for a number that the type
///          cannot hold; IoError, after which the path has its old content
/// cost     memory: a row, and the tokenizer
template <class M>
void save_gguf(M const& model, data::Tokenizer const& tokenizer, std::string const& path,
               GgufOptions const& options = {}) {
  detail::save_gguf(model, gguf_tokenizer_keys(tokenizer, M::config.vocab_size), path, options);
}

/// The same without a tokenizer, for programs that feed ids.
template <class M>
void save_gguf(M const& model, std::string const& path, GgufOptions const& options = {}) {
  detail::save_gguf(model, {{"tokenizer.ggml.model", std::string("none")}}, path, options);
}

/// Fills a model from a GGUF file and prepares it; MTP modules, which files do not have, keep their weights.
///
/// errors   GgufError or IoError if the file is damaged or its tensors are not the model's, and ConfigError that
///          lists all differences of its configuration, before a weight changes; IoError for a file that changes
///          meanwhile and for a number that is not finite, after which all weights are zero
/// cost     reads each byte once on all threads; memory: the header and 32 MiB
template <class M>
void load_gguf(M& model, std::string const& path, LoadOptions const& options = {}) {
  io::GgufFile const file(path);
  if (!options.allow_other_config) expect_gguf_config(file.metadata(), M::config, path);
  auto const plans = gguf_plan(M::config);
  auto const tensors = detail::match_tensors(plans, file);
  detail::load_or_clear(model,
                        [&] { detail::read_gguf(model, file, plans, tensors, options.allow_nonfinite); });
  model.prepare();
}

/// The tokenizer of a GGUF file. Errors: GgufError or IoError if the file is damaged; as read_gguf_tokenizer().
[[nodiscard]] inline data::Tokenizer load_gguf_tokenizer(std::string const& path) {
  io::GgufFile const file(path);
  return read_gguf_tokenizer(file.metadata(), path);
}

}  // namespace aeth::interchange
