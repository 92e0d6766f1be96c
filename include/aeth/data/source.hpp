/// Documents from text files: one file is one document. Files of JSON Lines: aeth/data/text_source.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/document.hpp"
#include "aeth/data/unicode.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/folder.hpp"
#include "aeth/io/hash.hpp"

namespace aeth::data {

struct FolderOptions {
  /// Patterns of file names, such as `*.hpp`; io::no_extension stands for names without a dot.
  std::vector<std::string> patterns{"*.txt"};
  std::uint64_t max_file_bytes = std::uint64_t{64} << 20;  ///< larger files are left out and counted
};

/// What was read and what was left out, in documents: text files, or lines of JSON Lines.
struct SourceReport {
  Index documents = 0;             ///< kept
  Index bytes = 0;                 ///< of the kept documents
  Index empty = 0;                 ///< documents without a byte
  Index binary = 0;                ///< see looks_binary()
  Index too_large = 0;             ///< beyond FolderOptions::max_file_bytes
  Index duplicates = 0;            ///< same bytes as a document before
  Index bad_lines = 0;             ///< of JSON Lines, left out on request
  std::string first_problem = {};  ///< message of the first bad line, or empty
  bool operator==(SourceReport const&) const = default;
};

/// Whether bytes are no text: a NUL, or more than one byte in 50 that is not UTF-8 (old headers hold a few
/// Latin-1 letters). Cost: one pass.
[[nodiscard]] constexpr bool looks_binary(std::string_view bytes) noexcept {
  return bytes.find('\0') != bytes.npos || count_invalid_utf8(bytes) > bytes.size() / 50;
}

/// Removes each document whose text is that of an earlier one; returns how many.
[[gnu::cold]] inline Index remove_duplicates(std::vector<Document>& documents) {
  std::unordered_multimap<std::uint64_t, std::size_t> seen;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    std::uint64_t const hash = io::hash64(documents[i].text);
    auto const [begin, end] = seen.equal_range(hash);
    std::string const& content = documents[i].text;
    if (std::any_of(begin, end, [&](auto const& entry) { return documents[entry.second].text == content; }))
      continue;
    seen.emplace(hash, kept);
    if (kept != i) documents[kept] = std::move(documents[i]);
    ++kept;
  }
  auto const removed = static_cast<Index>(documents.size() - kept);
  documents.resize(kept);
  return removed;
}

namespace detail {

/// Keeps a document, or counts why not.
inline void keep_or_count(Document document, std::vector<Document>& documents, SourceReport& counts) {
  if (document.text.empty())
    ++counts.empty;
  else if (looks_binary(document.text))
    ++counts.binary;
  else
    documents.push_back(std::move(document));
}

/// Reads a text file as one document. Errors: IoError if it cannot be read.
inline void read_text_file(std::string const& path, FolderOptions const& options,
                           std::vector<Document>& documents, SourceReport& counts) {
  if (io::file_size(path) > options.max_file_bytes)
    ++counts.too_large;
  else
    keep_or_count({path, io::read_file(path, options.max_file_bytes)}, documents, counts);
}

/// What ends the reading of a source: duplicates go, the counts are completed and reported.
///
/// errors   DataError if nothing remains, with the counts
inline void finish_source(std::size_t files, std::vector<Document>& documents, SourceReport& counts,
                          SourceReport* report) {
  counts.duplicates = remove_duplicates(documents);
  counts.documents = static_cast<Index>(documents.size());
  for (Document const& document : documents) counts.bytes += static_cast<Index>(document.text.size());
  if (report != nullptr) *report = counts;
  expect<DataError>(!documents.empty(), "no text in ", files, " files (", counts.empty, " empty, ",
                    counts.binary, " binary, ", counts.too_large, " too large, ", counts.bad_lines,
                    " bad lines); give files of UTF-8 text",
                    counts.first_problem.empty() ? "" : ". First problem: ", counts.first_problem);
}

/// The file itself, or all matching files below a folder, sorted by path.
///
/// errors   IoError if the path is a folder that cannot be listed; DataError if no file of it matches
[[nodiscard, gnu::cold]] inline std::vector<std::string> source_files(std::string const& path,
                                                                      FolderOptions const& options) {
  if (!io::is_folder(path)) return {path};
  std::vector<std::string> paths = io::list_files(path, options.patterns);
  std::string wanted;
  for (std::string const& pattern : options.patterns) wanted += (wanted.empty() ? "" : ", ") + pattern;
  expect<DataError>(!paths.empty(), "no file below '", path, "' matches ", wanted,
                    "; check the folder or give other patterns");
  return paths;
}

}  // namespace detail

/// Reads the files as documents named by their paths, in the order given; leaves out empty, binary, too large
/// and repeated ones.
///
/// errors   IoError for a file that cannot be read; DataError if nothing remains, with the counts
[[nodiscard, gnu::cold]] inline std::vector<Document> read_files(std::span<std::string const> paths,
                                                                 FolderOptions const& options = {},
                                                                 SourceReport* report = nullptr) {
  SourceReport counts;
  std::vector<Document> documents;
  for (std::string const& path : paths) detail::read_text_file(path, options, documents, counts);
  detail::finish_source(paths.size(), documents, counts, report);
  return documents;
}

/// Reads a file, or all matching files below a folder, sorted by path.
///
/// errors   as read_files(); IoError if the path does not exist; DataError if no file of the folder matches
[[nodiscard]] inline std::vector<Document> read_source(std::string const& path,
                                                       FolderOptions const& options = {},
                                                       SourceReport* report = nullptr) {
  return read_files(detail::source_files(path, options), options, report);
}

}  // namespace aeth::data
