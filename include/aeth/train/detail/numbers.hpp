/// Numbers as text that reads back equal: how the monitor's state gets into a checkpoint.
///
/// A state names its numbers once, in `for_each_number(visit)`, which writes and reads them.
#pragma once

#include <charconv>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"

namespace aeth::train::detail {

class NumberWriter {
 public:
  void operator()(double const& x) { add(x); }
  void operator()(Index const& x) { add(x); }
  template <class T>
  void operator()(std::vector<T> const& all) {
    add(static_cast<Index>(all.size()));
    for (T const& x : all) (*this)(x);
  }
  [[nodiscard]] std::string const& text() const { return text_; }

 private:
  void add(TextPart const& number) {
    if (!text_.empty()) text_ += ' ';
    number.append_to(text_);
  }
  std::string text_;
};

class NumberReader {
 public:
  explicit NumberReader(std::string_view text) : rest_(text) {}

  void operator()(double& x) { read(x); }
  void operator()(Index& x) { read(x); }
  template <class T>
  void operator()(std::vector<T>& all) {
    Index size = 0;
    read(size);
    // Each number takes a character at least: no count can ask for more memory than the text justifies.
    good_ = good_ && size >= 0 && size <= static_cast<Index>(rest_.size());
    all.assign(good_ ? to_size(size) : 0, T{});
    for (T& x : all) (*this)(x);
  }
  /// Whether there was a number for everything asked for, and nothing else.
  [[nodiscard]] bool is_complete() const { return good_ && rest_.empty(); }

 private:
  template <class T>
  void read(T& x) {
    char const* const end = rest_.data() + rest_.size();
    auto const parsed = std::from_chars(rest_.data(), end, x);
    bool const delimited = parsed.ptr == end || *parsed.ptr == ' ';
    good_ = good_ && parsed.ec == std::errc() && delimited;
    if (!good_) return;
    rest_.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest_.data()));
    if (!rest_.empty()) rest_.remove_prefix(1);
  }
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace aeth::train::detail
