/// Documents from JSON Lines: one object per line, the text in one of its fields. Needs nlohmann-json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/detail/excerpt.hpp"
#include "aeth/data/document.hpp"
#include "aeth/io/file.hpp"

namespace aeth::data {

/// What to do with a line that cannot be used.
enum class BadLine {
  stop,  ///< throw DataError with line and byte offset
  skip,  ///< leave it out and count it
};

struct JsonlOptions {
  std::string field = "text";                             ///< holds the document
  BadLine bad_line = BadLine::stop;                       ///< policy
  std::size_t max_line_bytes = std::size_t{256} << 20;    ///< longer lines are bad
  std::uint64_t max_file_bytes = io::default_read_limit;  ///< larger files are refused
};

/// Counts of lines.
struct JsonlReport {
  Index documents = 0;        ///< lines that gave a document
  Index blank = 0;            ///< lines without any text; never an error
  Index empty = 0;            ///< documents without a byte; left out, never an error
  Index invalid = 0;          ///< not JSON, or strings that are not UTF-8
  Index truncated = 0;        ///< not JSON, and the last line, without an end: the file was cut
  Index wrong_type = 0;       ///< no object, or the field is no string
  Index missing_field = 0;    ///< an object without the field
  Index too_long = 0;         ///< beyond JsonlOptions::max_line_bytes
  std::string first_problem;  ///< message of the first bad line, or empty

  [[nodiscard]] Index bad() const noexcept {
    return invalid + truncated + wrong_type + missing_field + too_long;
  }
};

namespace detail {

/// What is wrong with a line; `count` is where to count it.
struct LineProblem {
  Index JsonlReport::*count = nullptr;
  std::string why;
};

/// The document of one line, or a problem.
[[nodiscard]] inline LineProblem read_jsonl_line(std::string_view line, JsonlOptions const& options,
                                                 bool last, std::string& out) {
  if (line.size() > options.max_line_bytes)
    return {&JsonlReport::too_long,
            text("it has ", line.size(), " bytes, the limit is ", options.max_line_bytes)};
  nlohmann::json value;
  try {
    value = nlohmann::json::parse(line);
  } catch (nlohmann::json::exception const& error) {
    if (last) return {&JsonlReport::truncated, "the last line ends inside its JSON value; the file was cut"};
    return {&JsonlReport::invalid, text("it is not valid JSON (", Excerpt{error.what()}, ")")};
  }
  if (!value.is_object())
    return {&JsonlReport::wrong_type, text("it is a JSON ", value.type_name(), ", not an object")};
  auto const field = value.find(options.field);
  if (field == value.end()) {
    std::string others;
    for (auto const& [name, unused] : value.items()) others += (others.empty() ? "" : ", ") + name;
    return {&JsonlReport::missing_field, text("it has no field '", options.field, "' (it has: ",
                                              Excerpt{others}, "); is the text in another field?")};
  }
  if (!field->is_string())
    return {&JsonlReport::wrong_type,
            text("its field '", options.field, "' is a JSON ", field->type_name(), ", not a string")};
  out = std::move(field->get_ref<std::string&>());
  return {};
}

/// Appends the documents of JSON Lines content and adds to the counts, `documents` apart: parse_jsonl() without the
/// demand that some remain.
///
/// errors   as parse_jsonl() at a bad line
inline void append_jsonl(std::string_view content, std::string const& name, JsonlOptions const& options,
                         std::vector<Document>& documents, JsonlReport& counts) {
  std::size_t at = content.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (Index line_number = 1; at < content.size(); ++line_number) {
    std::size_t const newline = content.find('\n', at);
    bool const last = newline == content.npos;
    std::size_t const begin = at, end = last ? content.size() : newline;
    at = end + 1;
    std::string_view const line = content.substr(begin, end - begin);
    if (line.find_first_not_of(" \t\r") == line.npos) {
      ++counts.blank;
      continue;
    }
    Document document{text(name, ":", line_number), {}};
    LineProblem const problem = read_jsonl_line(line, options, last, document.text);
    if (problem.count != nullptr) {
      std::string const message = text(name, ": line ", line_number, " (byte ", begin, "): ", problem.why,
                                       "; correct the line, or skip bad lines");
      expect<DataError>(options.bad_line == BadLine::skip, message);
      if (counts.first_problem.empty()) counts.first_problem = message;
      ++(counts.*problem.count);
    } else if (document.text.empty()) {
      ++counts.empty;
    } else {
      documents.push_back(std::move(document));
    }
  }
}

}  // namespace detail

/// The documents of JSON Lines content, named `NAME:LINE`. Lines may end with CR LF; a byte-order mark at the
/// beginning is ignored.
///
/// errors   DataError naming line, byte offset and reason at the first bad line under BadLine::stop;
///          DataError if no document remains
[[nodiscard]] inline std::vector<Document> parse_jsonl(std::string_view content, std::string const& name,
                                                       JsonlOptions const& options = {},
                                                       JsonlReport* report = nullptr) {
  JsonlReport counts;
  std::vector<Document> documents;
  detail::append_jsonl(content, name, options, documents, counts);
  counts.documents = static_cast<Index>(documents.size());
  if (report != nullptr) *report = counts;
  expect<DataError>(!documents.empty(), name, ": no document (", counts.blank, " blank lines, ", counts.empty,
                    " empty documents, ", counts.bad(),
                    " bad lines); give a file with one JSON object per line",
                    counts.first_problem.empty() ? "" : ". First problem: ", counts.first_problem);
  return documents;
}

/// The documents of a JSON Lines file. Errors: as parse_jsonl(); IoError if the file cannot be read.
[[nodiscard]] inline std::vector<Document> read_jsonl(std::string const& path,
                                                      JsonlOptions const& options = {},
                                                      JsonlReport* report = nullptr) {
  return parse_jsonl(io::read_file(path, options.max_file_bytes), path, options, report);
}

}  // namespace aeth::data
