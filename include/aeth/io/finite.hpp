/// Refusing weights that are not finite, which would make every output useless without a word.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <string_view>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// The first value that is not finite, or `count`. Cost: a pass at the speed of memory.
template <std::floating_point T>
[[nodiscard]] std::uint64_t first_nonfinite(T const* values, std::uint64_t count) noexcept {
  constexpr std::uint64_t part = 1024;
  for (std::uint64_t at = 0; at < count; at += part) {
    std::uint64_t const end = min(count, at + part);
    T sum = 0;  // 0 · x is 0 for finite x and NaN otherwise; a plain sum vectorises, a search does not
    for (std::uint64_t i = at; i < end; ++i) sum += values[i] * T(0);
    if (sum == T(0)) continue;
    for (std::uint64_t i = at; i < end; ++i)
      if (!std::isfinite(values[i])) return i;
  }
  return count;
}

/// errors   IoError naming file, tensor and index unless `count` values, the tensor's from its element `first` on, are
///          finite
template <std::floating_point T>
void expect_finite(T const* values, std::uint64_t count, std::string_view tensor, std::uint64_t first,
                   std::string_view file) {
  std::uint64_t const at = first_nonfinite(values, count);
  if (at == count) return;
  throw IoError(text(file, ": tensor ", in_quotes(tensor), " holds ", values[at], " at index ", first + at,
                     ", as ", name_of(dtype_of<T>),
                     "; such weights make every output useless. Use another file, or allow them "
                     "(LoadOptions::allow_nonfinite)"));
}

}  // namespace aeth::io
