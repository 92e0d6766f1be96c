/// What can be wrong with a GGUF file.
#pragma once

#include <string>
#include <string_view>

#include "aeth/core/error.hpp"

namespace aeth::io {

/// The kinds of damage that are told apart.
enum class GgufFault {
  bad_magic,    ///< not a GGUF file
  bad_version,  ///< a version that is not read: 1, one to come, or the other byte order
  truncated,    ///< the file ends inside what it announces
  over_limit,  ///< more keys, tensors, elements or bytes of a name than allowed, or than the file has room for
  bad_key,     ///< an empty key
  duplicate,   ///< a key or a tensor's name twice
  bad_value,   ///< a type of value that does not exist, an array of arrays, or a truth value beyond 1
  bad_alignment,  ///< general.alignment is no power of two of at least 8, or of another type
  bad_shape,      ///< too many or no extents, one of 0, or rows that are no whole blocks
  overflow,       ///< a shape whose bytes do not fit in 64 bits
  unknown_type,   ///< a tensor type that the format does not have
  bad_offset,     ///< tensors unaligned, overlapping, with gaps, or not ending with the file
};

[[nodiscard]] constexpr std::string_view name_of(GgufFault fault) noexcept {
  constexpr std::string_view names[] = {"bad magic", "bad version", "truncated",    "over the limit",
                                        "bad key",   "duplicate",   "bad value",    "bad alignment",
                                        "bad shape", "overflow",    "unknown type", "bad offset"};
  return names[static_cast<int>(fault)];
}

/// A damaged file: `FILE: KIND: what and where; what to do`.
struct GgufError : IoError {
  GgufError(GgufFault kind, std::string const& message) : IoError(message), fault(kind) {}
  GgufFault fault;
};

}  // namespace aeth::io
