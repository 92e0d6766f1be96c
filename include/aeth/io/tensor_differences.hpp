/// Compares the tensors of a file with those that are wanted: all differences in one message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {
namespace detail {

/// How alike two names are, from 0 to 1: what they share at both ends, over the longer one's length.
[[nodiscard]] inline double likeness(std::string_view a, std::string_view b) noexcept {
  std::size_t const shorter = (min)(a.size(), b.size());
  if (shorter == 0) return 0;
  std::size_t front = 0, back = 0;
  while (front < shorter && a[front] == b[front]) ++front;
  while (back < shorter - front && a[a.size() - 1 - back] == b[b.size() - 1 - back]) ++back;
  return static_cast<double>(front + back) / static_cast<double>((max)(a.size(), b.size()));
}

/// The most similar of the names, or nothing if none shares two thirds.
[[nodiscard]] inline std::string_view nearest(std::string_view name, std::vector<std::string> const& names) {
  std::string_view best;
  double most = 2.0 / 3.0;
  for (std::string const& other : names) {
    double const now = likeness(name, other);
    if (now > most) {
      most = now;
      best = other;
    }
  }
  return best;
}

}  // namespace detail

/// What a file lacks, what it has that nobody wants, and what has another shape or type. Add everything, then
/// check().
class TensorDifferences {
 public:
  void add_missing(std::string name) { missing_.push_back(std::move(name)); }
  void add_unknown(std::string name) { unknown_.push_back(std::move(name)); }
  void add_wrong(std::string line) { wrong_.push_back(std::move(line)); }

  /// errors   IoError that lists all of it: per missing name the unknown one most like it, and the reverse.
  ///          Only the first 500 of a kind get that comparison.
  void check(std::string_view file, std::string_view remedy) const {
    if (missing_.empty() && unknown_.empty() && wrong_.empty()) return;
    std::string out = text(file, ": ", missing_.size(), " missing, ", unknown_.size(), " unknown, ",
                           wrong_.size(), " unfit tensors; ", remedy);
    append_names(out, "missing", missing_, unknown_);
    append_names(out, "unknown", unknown_, missing_);
    for (std::string const& line : wrong_) out += text("\n  unfit    ", line);
    throw IoError(out);
  }

 private:
  static void append_names(std::string& out, std::string_view kind, std::vector<std::string> const& names,
                           std::vector<std::string> const& others) {
    constexpr std::size_t compared = 500;
    std::vector<std::string> const candidates(
        others.begin(), others.begin() + static_cast<std::ptrdiff_t>((min)(others.size(), compared)));
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::string_view const near_name =
          i < compared ? detail::nearest(names[i], candidates) : std::string_view();
      out += text("\n  ", kind, "  ", in_quotes(names[i]));
      if (!near_name.empty()) out += text(" (like ", in_quotes(near_name), ")");
    }
  }

  std::vector<std::string> missing_, unknown_, wrong_;
};

}  // namespace aeth::io
