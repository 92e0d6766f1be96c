/// Reads the header of a GGUF file value by value and never past its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "aeth/io/gguf_error.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io::detail {

/// A place in a file's bytes.
class GgufCursor {
 public:
  GgufCursor(std::span<std::byte const> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  [[nodiscard]] std::uint64_t at() const noexcept { return at_; }
  [[nodiscard]] std::uint64_t left() const noexcept { return bytes_.size() - at_; }

  template <class... Parts>
  [[noreturn]] void fail(GgufFault fault, Parts const&... parts) const {
    throw GgufError(fault, text(file_, ": ", name_of(fault), ": ", parts...,
                                "; the file is damaged or incomplete, copy or write it again"));
  }

  /// A number of fixed size; `what` is for messages.
  template <class T>
  [[nodiscard]] T number(std::string_view what) {
    expect_left(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  /// A text: its length in 8 bytes, then its bytes. These are not copied.
  [[nodiscard]] std::string_view string(std::string_view what) {
    auto const length = number<std::uint64_t>(what);
    expect_left(length, what);
    std::string_view const out(reinterpret_cast<char const*>(bytes_.data()) + at_,
                               static_cast<std::size_t>(length));
    at_ += static_cast<std::size_t>(length);
    return out;
  }

  /// Refuses a count of things that take at least `least` bytes each before anything is made for them.
  void expect_room(std::uint64_t count, std::uint64_t least, std::string_view what) const {
    if (count > left() / least)
      fail(GgufFault::over_limit, what, ", ", count, " of them by byte ", at_, ", take at least ", least,
           " bytes each, but only ", left(), " follow");
  }

 private:
  void expect_left(std::uint64_t count, std::string_view what) const {
    if (count > left())
      fail(GgufFault::truncated, what, " at byte ", at_, " needs ", count, " bytes, but only ", left(),
           " follow");
  }

  std::span<std::byte const> bytes_;
  std::string_view file_;
  std::size_t at_ = 0;
};

}  // namespace aeth::io::detail
