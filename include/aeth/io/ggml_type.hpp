/// The tensor types of GGUF files: plain numbers, and blocks of quantised ones.
///
/// source   ggml, https://github.com/ggml-org/ggml: `ggml_type` and the blocks of `ggml-common.h`
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// The types by their numbers in files. The numbers left out belonged to types that ggml took back.
enum class GgmlType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
  q1_0 = 41,
  q2_0 = 42,
};

namespace detail {

struct GgmlTypeRow {
  GgmlType type;
  std::string_view name;
  unsigned elements;  ///< of a block; a row of a tensor is a whole number of blocks
  unsigned bytes;     ///< of a block
};

/// Ascending by type.
inline constexpr GgmlTypeRow ggml_type_rows[] = {
    {GgmlType::f32, "F32", 1, 4},
    {GgmlType::f16, "F16", 1, 2},
    {GgmlType::q4_0, "Q4_0", 32, 18},
    {GgmlType::q4_1, "Q4_1", 32, 20},
    {GgmlType::q5_0, "Q5_0", 32, 22},
    {GgmlType::q5_1, "Q5_1", 32, 24},
    {GgmlType::q8_0, "Q8_0", 32, 34},
    {GgmlType::q8_1, "Q8_1", 32, 36},
    {GgmlType::q2_k, "Q2_K", 256, 84},
    {GgmlType::q3_k, "Q3_K", 256, 110},
    {GgmlType::q4_k, "Q4_K", 256, 144},
    {GgmlType::q5_k, "Q5_K", 256, 176},
    {GgmlType::q6_k, "Q6_K", 256, 210},
    {GgmlType::q8_k, "Q8_K", 256, 292},
    {GgmlType::iq2_xxs, "IQ2_XXS", 256, 66},
    {GgmlType::iq2_xs, "IQ2_XS", 256, 74},
    {GgmlType::iq3_xxs, "IQ3_XXS", 256, 98},
    {GgmlType::iq1_s, "IQ1_S", 256, 50},
    {GgmlType::iq4_nl, "IQ4_NL", 32, 18},
    {GgmlType::iq3_s, "IQ3_S", 256, 110},
    {GgmlType::iq2_s, "IQ2_S", 256, 82},
    {GgmlType::iq4_xs, "IQ4_XS", 256, 136},
    {GgmlType::i8, "I8", 1, 1},
    {GgmlType::i16, "I16", 1, 2},
    {GgmlType::i32, "I32", 1, 4},
    {GgmlType::i64, "I64", 1, 8},
    {GgmlType::f64, "F64", 1, 8},
    {GgmlType::iq1_m, "IQ1_M", 256, 56},
    {GgmlType::bf16, "BF16", 1, 2},
    {GgmlType::tq1_0, "TQ1_0", 256, 54},
    {GgmlType::tq2_0, "TQ2_0", 256, 66},
    {GgmlType::mxfp4, "MXFP4", 32, 17},
    {GgmlType::nvfp4, "NVFP4", 64, 36},
    {GgmlType::q1_0, "Q1_0", 128, 18},
    {GgmlType::q2_0, "Q2_0", 64, 18},
};

[[nodiscard]] constexpr GgmlTypeRow const* find_ggml_row(std::uint32_t number) noexcept {
  for (GgmlTypeRow const& row : ggml_type_rows)
    if (static_cast<std::uint32_t>(row.type) == number) return &row;
  return nullptr;
}

[[nodiscard]] constexpr GgmlTypeRow const& row_of(GgmlType type) noexcept {
  return *find_ggml_row(static_cast<std::uint32_t>(type));
}

}  // namespace detail

/// The type with that number in files, if there is one.
[[nodiscard]] constexpr std::optional<GgmlType> find_ggml_type(std::uint32_t number) noexcept {
  detail::GgmlTypeRow const* const row = detail::find_ggml_row(number);
  if (row == nullptr) return std::nullopt;
  return row->type;
}

/// The type's name, such as "Q8_0".
[[nodiscard]] constexpr std::string_view name_of(GgmlType type) noexcept {
  return detail::row_of(type).name;
}

/// Elements that are stored together; the last extent of a tensor is a multiple of it.
[[nodiscard]] constexpr unsigned block_elements(GgmlType type) noexcept {
  return detail::row_of(type).elements;
}

/// Bytes of one block.
[[nodiscard]] constexpr unsigned block_bytes(GgmlType type) noexcept {
  return detail::row_of(type).bytes;
}

/// Bytes of a tensor; nothing if they do not fit in 64 bits, or if its rows are no whole blocks.
[[nodiscard]] inline std::optional<std::uint64_t> byte_count(GgmlType type,
                                                             TensorShape const& shape) noexcept {
  auto const count = element_count(shape);
  std::uint64_t const elements = block_elements(type), bytes = block_bytes(type);
  if (!count || (shape.empty() ? 1 : shape.back()) % elements != 0) return std::nullopt;
  if (*count / elements > ~std::uint64_t{0} / bytes) return std::nullopt;
  return *count / elements * bytes;
}

}  // namespace aeth::io
