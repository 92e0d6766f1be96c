/// Turns bytes that arrive token by token into whole UTF-8 characters: a token may end inside a character.
#pragma once

#include <string>
#include <string_view>

#include "aeth/data/unicode.hpp"

namespace aeth::data {

/// What becomes of bytes that can no longer be part of a character.
enum class InvalidUtf8 {
  replace,  ///< each becomes U+FFFD, so that the output always is valid UTF-8
  keep,     ///< they pass unchanged, so that the output is the input
};

/// Holds back at most 3 bytes: the beginning of a character whose rest has not come yet.
class Utf8Stream {
 public:
  explicit Utf8Stream(InvalidUtf8 invalid = InvalidUtf8::replace) noexcept : invalid_(invalid) {}

  /// Takes bytes and returns all characters that are complete now.
  [[nodiscard]] std::string feed(std::string_view bytes) {
    held_.append(bytes);
    return take(false);
  }

  /// The end of the stream: what is held back is invalid now. The stream can be used again.
  [[nodiscard]] std::string flush() { return take(true); }

  /// Bytes held back at the moment.
  [[nodiscard]] std::string_view held() const noexcept { return held_; }

 private:
  /// Whether bytes from `at` to the end may still become one valid character.
  [[nodiscard]] bool may_continue(std::size_t at) const noexcept {
    std::size_t const have = held_.size() - at;
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(held_[at + i]); };
    std::size_t const need = byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
    if (byte(0) < 0xC2 || byte(0) > 0xF4 || have >= need) return false;
    for (std::size_t i = 1; i < have; ++i)
      if ((byte(i) & 0xC0) != 0x80) return false;
    if (have < 2) return true;
    // Second bytes that could only give an overlong form, a surrogate or a value above U+10FFFF.
    return !((byte(0) == 0xE0 && byte(1) < 0xA0) || (byte(0) == 0xED && byte(1) > 0x9F) ||
             (byte(0) == 0xF0 && byte(1) < 0x90) || (byte(0) == 0xF4 && byte(1) > 0x8F));
  }

  std::string take(bool all) {
    std::string out;
    std::size_t at = 0;
    while (at < held_.size()) {
      Character const c = decode_utf8(held_, at);
      if (c.code == invalid_code && !all && may_continue(at)) break;
      if (c.code == invalid_code && invalid_ == InvalidUtf8::replace)
        append_utf8(out, U'\uFFFD');
      else
        out.append(held_, at, c.length);
      at += c.length;
    }
    held_.erase(0, at);
    return out;
  }

  InvalidUtf8 invalid_;
  std::string held_;
};

}  // namespace aeth::data
