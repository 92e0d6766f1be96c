/// The element types of safetensors files.
#pragma once

#include <bit>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

#include "aeth/numeric/bf16.hpp"
#include "aeth/numeric/f16.hpp"

namespace aeth::io {

static_assert(std::endian::native == std::endian::little,
              "tensor files are little-endian and are read in place; this machine is not little-endian");

/// Every element type of the format, narrowest first.
enum class DType {
  f4,
  f6_e2m3,
  f6_e3m2,
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  i64,
  u64,
  f64,
  c64,
};

namespace detail {

struct DTypeRow {
  std::string_view name;  ///< as in the file
  unsigned bits;          ///< per element
};

/// Indexed by DType.
inline constexpr DTypeRow dtype_rows[] = {
    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"BOOL", 8},        {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"I64", 64},    {"U64", 64},    {"F64", 64},    {"C64", 64},
};
static_assert(std::size(dtype_rows) == static_cast<std::size_t>(DType::c64) + 1);

}  // namespace detail

/// The type's name in files, such as "BF16".
[[nodiscard]] constexpr std::string_view name_of(DType type) noexcept {
  return detail::dtype_rows[static_cast<std::size_t>(type)].name;
}

/// Bits per element; three types have less than a byte.
[[nodiscard]] constexpr unsigned bits_of(DType type) noexcept {
  return detail::dtype_rows[static_cast<std::size_t>(type)].bits;
}

/// The type with that name in files, if there is one; names are case-sensitive.
[[nodiscard]] constexpr std::optional<DType> find_dtype(std::string_view name) noexcept {
  for (std::size_t i = 0; i < std::size(detail::dtype_rows); ++i)
    if (detail::dtype_rows[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

namespace detail {

template <class T>
struct DTypeOf;
// clang-format off
template <> struct DTypeOf<float> { static constexpr DType value = DType::f32; };
template <> struct DTypeOf<double> { static constexpr DType value = DType::f64; };
template <> struct DTypeOf<aeth::bf16> { static constexpr DType value = DType::bf16; };
template <> struct DTypeOf<aeth::f16> { static constexpr DType value = DType::f16; };
template <> struct DTypeOf<std::uint8_t> { static constexpr DType value = DType::u8; };
template <> struct DTypeOf<std::int32_t> { static constexpr DType value = DType::i32; };
template <> struct DTypeOf<std::int64_t> { static constexpr DType value = DType::i64; };
template <> struct DTypeOf<std::uint64_t> { static constexpr DType value = DType::u64; };
// clang-format on

}  // namespace detail

/// The file type of a C++ type: `dtype_of<float>` is DType::f32.
template <class T>
inline constexpr DType dtype_of = detail::DTypeOf<T>::value;

}  // namespace aeth::io
