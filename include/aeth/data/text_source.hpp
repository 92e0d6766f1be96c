/// Documents from text files and files of JSON Lines, one by one or from a folder. Needs nlohmann-json;
/// aeth/data/source.hpp reads text files without it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/document.hpp"
#include "aeth/data/jsonl.hpp"
#include "aeth/data/source.hpp"
#include "aeth/io/file.hpp"

namespace aeth::data {

struct TextSourceOptions {
  /// Which files of a folder; the limit on their size is for text files.
  FolderOptions files = {.patterns = {"*.txt", "*.jsonl", "*.ndjson"}};
  JsonlOptions jsonl = {};  ///< for files of JSON Lines
};

/// Whether a path is read as JSON Lines: it ends with `.jsonl` or `.ndjson`.
[[nodiscard]] constexpr bool is_jsonl_path(std::string_view path) noexcept {
  return path.ends_with(".jsonl") || path.ends_with(".ndjson");
}

/// Reads a file, or all matching files below a folder, sorted by path. Of JSON Lines each line is a document,
/// `PATH:LINE`; any other file is one. Empty, binary and repeated documents are left out, wherever they come
/// from; so are text files that are too large.
///
/// errors   IoError for a path that cannot be read, or a file of JSON Lines beyond its limit; DataError naming
///          file, line and reason at a bad line under BadLine::stop; DataError if no file of the folder matches,
///          or if nothing remains, with the counts
/// cost     memory for the documents and the content of one file
[[nodiscard]] inline std::vector<Document> read_text_source(std::string const& path,
                                                            TextSourceOptions const& options = {},
                                                            SourceReport* report = nullptr) {
  SourceReport counts;
  std::vector<Document> documents;
  auto const paths = detail::source_files(path, options.files);
  for (std::string const& file : paths) {
    if (!is_jsonl_path(file)) {
      detail::read_text_file(file, options.files, documents, counts);
      continue;
    }
    std::string const content = io::read_file(file, options.jsonl.max_file_bytes);
    counts.empty += content.empty();
    std::vector<Document> lines;
    JsonlReport of_file;
    detail::append_jsonl(content, file, options.jsonl, lines, of_file);
    for (Document& document : lines) detail::keep_or_count(std::move(document), documents, counts);
    counts.empty += of_file.empty;
    if (!content.empty() && lines.empty() && of_file.empty + of_file.bad() == 0)
      ++counts.empty;  // blank lines
    counts.bad_lines += of_file.bad();
    if (counts.first_problem.empty()) counts.first_problem = of_file.first_problem;
  }
  detail::finish_source(paths.size(), documents, counts, report);
  return documents;
}

}  // namespace aeth::data
