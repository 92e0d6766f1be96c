/// Groups of documents that share most of their lines: copies with small changes, versions, generated
/// siblings.
///
/// A line counts by its hash without surrounding blanks; short lines and a licence notice at the top of a
/// file do not count. A line that d documents have weighs 1/√d, so that what everybody writes says little.
/// Two documents are similar if the common weight is a given share of the smaller one's weight (containment:
/// an excerpt is similar to the whole). Groups are the transitive closure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aeth/data/document.hpp"
#include "aeth/io/hash.hpp"

namespace aeth::data {

struct SimilarityOptions {
  double threshold = 0.5;          ///< share of the smaller document's weight, 0 to 1
  std::size_t min_line_bytes = 8;  ///< shorter lines do not count: braces, `else`, `#endif`
};

namespace detail {

[[nodiscard]] constexpr std::string_view trimmed(std::string_view line) noexcept {
  constexpr std::string_view blanks = " \t\r\f\v";
  std::size_t const begin = line.find_first_not_of(blanks);
  return begin == line.npos ? std::string_view{}
                            : line.substr(begin, line.find_last_not_of(blanks) - begin + 1);
}

/// Calls visit(line) for each line without its end and surrounding blanks.
template <class Visit>
constexpr void for_each_line(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    std::size_t const end = (std::min)(text.find('\n'), text.size());
    visit(trimmed(text.substr(0, end)));
    text.remove_prefix((std::min)(end + 1, text.size()));
  }
}

/// Whether a line can belong to a comment at the top of a file, in the usual languages.
[[nodiscard]] constexpr bool looks_like_comment(std::string_view line) noexcept {
  if (line.empty()) return true;
  for (std::string_view const mark : {"//", "/*", "*", "# ", "#!", "--", ";", R"(""")"})
    if (line.starts_with(mark)) return true;
  return line == "#";
}

/// Count of lines at the top that are a comment with a licence in it; 0 if there is none.
[[nodiscard]] inline std::size_t licence_lines(std::string_view text) {
  std::size_t lines = 0, comment = 0;
  bool inside = false, ended = false, licence = false;
  for_each_line(text, [&](std::string_view line) {
    ended = ended || !(inside || looks_like_comment(line));
    if (ended) return;
    ++lines;
    if (line.starts_with("/*")) inside = true;
    if (line.find("*/") != line.npos) inside = false;
    for (std::string_view const word : {"icense", "ICENSE", "icence", "opyright", "OPYRIGHT", "SPDX"})
      licence = licence || line.find(word) != line.npos;
    comment = lines;
  });
  return licence ? comment : 0;
}

/// Hashes of the lines that count, ascending, each once.
[[nodiscard]] inline std::vector<std::uint64_t> line_hashes(std::string_view text,
                                                            std::size_t min_line_bytes) {
  std::vector<std::uint64_t> hashes;
  std::size_t skip = licence_lines(text);
  for_each_line(text, [&](std::string_view line) {
    if (skip > 0)
      --skip;
    else if (line.size() >= min_line_bytes)
      hashes.push_back(io::hash64(line));
  });
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  return hashes;
}

}  // namespace detail

/// The group of each document, as the index of the group's first document. Documents without any line that
/// counts stay alone.
///
/// cost     lines · 64 steps: a document is compared with the last 64 before it that share a line, which is
///          enough to link copies one to the next; 16 bytes of memory per distinct line
[[nodiscard]] inline std::vector<std::size_t> similarity_groups(std::span<Document const> documents,
                                                                SimilarityOptions const& options = {}) {
  constexpr std::size_t look_back = 64;
  std::vector<std::vector<std::uint64_t>> lines;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> where;  // line → documents so far
  for (Document const& document : documents) {
    lines.push_back(detail::line_hashes(document.text, options.min_line_bytes));
    for (std::uint64_t const line : lines.back())
      where[line].push_back(static_cast<std::uint32_t>(lines.size() - 1));
  }
  std::vector<double> total(documents.size()), common(documents.size());
  for (std::size_t d = 0; d < lines.size(); ++d)
    for (std::uint64_t const line : lines[d])
      total[d] += 1 / std::sqrt(static_cast<double>(where[line].size()));

  std::vector<std::size_t> group(documents.size());
  std::iota(group.begin(), group.end(), std::size_t{0});
  auto const root = [&](std::size_t d) {
    while (group[d] != d) d = group[d] = group[group[d]];
    return d;
  };
  std::vector<std::size_t> touched;
  for (std::size_t d = 0; d < lines.size(); ++d) {
    for (std::uint64_t const line : lines[d]) {
      auto const& others = where[line];
      double const weight = 1 / std::sqrt(static_cast<double>(others.size()));
      auto const here = std::lower_bound(others.begin(), others.end(), static_cast<std::uint32_t>(d));
      auto const back = (std::min)(static_cast<std::size_t>(here - others.begin()), look_back);
      for (auto other = here - static_cast<std::ptrdiff_t>(back); other != here; ++other) {
        if (common[*other] == 0) touched.push_back(*other);
        common[*other] += weight;
      }
    }
    for (std::size_t const other : touched) {
      // The sums are rounded in different orders; the margin keeps equal sets at threshold 1 together.
      if (common[other] >= options.threshold * (std::min)(total[d], total[other]) * (1 - 1e-9)) {
        std::size_t const a = root(d), b = root(other);
        group[(std::max)(a, b)] = (std::min)(a, b);
      }
      common[other] = 0;
    }
    touched.clear();
  }
  for (std::size_t d = 0; d < group.size(); ++d) group[d] = root(d);
  return group;
}

}  // namespace aeth::data
