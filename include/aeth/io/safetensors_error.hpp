/// What can be wrong with a safetensors file.
#pragma once

#include <string>
#include <string_view>

#include "aeth/core/error.hpp"

namespace aeth::io {

/// The kinds of damage that are told apart.
enum class SafetensorsFault {
  too_short,      ///< not even the length of a header
  bad_length,     ///< the header is empty, longer than the file, or longer than allowed
  bad_json,       ///< the header is not JSON, or has bytes around it that do not belong there
  duplicate,      ///< a name or a key twice
  bad_entry,      ///< JSON, but not that of a tensor
  unknown_dtype,  ///< an element type that the format does not have
  overflow,       ///< a shape whose bytes do not fit in 64 bits
  mismatch,       ///< type and shape do not make up the bytes
  bad_offsets,    ///< tensors overlap, leave a gap, or do not end with the file
  over_limit,     ///< too many tensors, extents or bytes of a name
};

[[nodiscard]] constexpr std::string_view name_of(SafetensorsFault fault) noexcept {
  constexpr std::string_view names[] = {"too short",   "bad header length", "bad JSON", "duplicate",
                                        "bad entry",   "unknown dtype",     "overflow", "mismatch",
                                        "bad offsets", "over the limit"};
  return names[static_cast<int>(fault)];
}

/// A damaged file: `FILE: KIND: what and where; what to do`.
struct SafetensorsError : IoError {
  SafetensorsError(SafetensorsFault kind, std::string const& message) : IoError(message), fault(kind) {}
  SafetensorsFault fault;
};

}  // namespace aeth::io
