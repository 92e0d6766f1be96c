/// The metadata of GGUF files: typed values under keys.
///
/// source   the GGUF description, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace aeth::io {

/// A value: a number, a truth value, text, or an array of one of these. Arrays of arrays, which the
/// description allows and no reader accepts, are not.
using GgufValue =
    std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float,
                 bool, std::string, std::uint64_t, std::int64_t, double, std::vector<std::uint8_t>,
                 std::vector<std::int8_t>, std::vector<std::uint16_t>, std::vector<std::int16_t>,
                 std::vector<std::uint32_t>, std::vector<std::int32_t>, std::vector<float>, std::vector<bool>,
                 std::vector<std::string>, std::vector<std::uint64_t>, std::vector<std::int64_t>,
                 std::vector<double>>;

/// The notes of a file.
using GgufMetadata = std::map<std::string, GgufValue, std::less<>>;

namespace detail {

/// The number of a type of value in files.
template <class T>
struct GgufTypeOf;
// clang-format off
template <> struct GgufTypeOf<std::uint8_t> { static constexpr std::uint32_t value = 0; };
template <> struct GgufTypeOf<std::int8_t> { static constexpr std::uint32_t value = 1; };
template <> struct GgufTypeOf<std::uint16_t> { static constexpr std::uint32_t value = 2; };
template <> struct GgufTypeOf<std::int16_t> { static constexpr std::uint32_t value = 3; };
template <> struct GgufTypeOf<std::uint32_t> { static constexpr std::uint32_t value = 4; };
template <> struct GgufTypeOf<std::int32_t> { static constexpr std::uint32_t value = 5; };
template <> struct GgufTypeOf<float> { static constexpr std::uint32_t value = 6; };
template <> struct GgufTypeOf<bool> { static constexpr std::uint32_t value = 7; };
template <> struct GgufTypeOf<std::string> { static constexpr std::uint32_t value = 8; };
template <> struct GgufTypeOf<std::uint64_t> { static constexpr std::uint32_t value = 10; };
template <> struct GgufTypeOf<std::int64_t> { static constexpr std::uint32_t value = 11; };
template <> struct GgufTypeOf<double> { static constexpr std::uint32_t value = 12; };
// clang-format on

/// The number of "an array follows".
inline constexpr std::uint32_t gguf_array = 9;

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

/// Calls f(std::type_identity<T>) for the type with that number; false if there is none or it is an array.
template <class F>
bool with_gguf_type(std::uint32_t number, F&& f) {
  auto const one = [&]<class T>(std::type_identity<T> type) {
    if (number != GgufTypeOf<T>::value) return false;
    f(type);
    return true;
  };
  return [&]<class... T>(std::type_identity<std::variant<T...>>) {
    auto const unless_array = [&]<class U>(std::type_identity<U> type) {
      if constexpr (is_vector<U>)
        return false;
      else
        return one(type);
    };
    return (unless_array(std::type_identity<T>{}) || ...);
  }(std::type_identity<GgufValue>{});
}

}  // namespace detail

/// The value under a key if it is of that very type, or null.
template <class T>
[[nodiscard]] T const* find_value(GgufMetadata const& metadata, std::string_view key) noexcept {
  auto const found = metadata.find(key);
  return found == metadata.end() ? nullptr : std::get_if<T>(&found->second);
}

/// A value as a whole number, whatever integer type the writer chose; nothing for others and for negative
/// ones.
[[nodiscard]] inline std::optional<std::uint64_t> whole_number(GgufValue const& value) noexcept {
  return std::visit(
      [](auto const& v) -> std::optional<std::uint64_t> {
        using T = std::remove_cvref_t<decltype(v)>;
        if constexpr (std::integral<T> && !std::same_as<T, bool>) {
          if (std::in_range<std::uint64_t>(v)) return static_cast<std::uint64_t>(v);
        }
        return std::nullopt;
      },
      value);
}

}  // namespace aeth::io
