/// A file of lines that each begin with a step, which a resumed run continues where its checkpoint stands.
#pragma once

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"

namespace aeth::train::detail {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// Text as a JSON string, quotes included; control characters are escaped, the rest is copied.
[[nodiscard]] inline std::string json_string(std::string_view content) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char const c : content) {
    auto const code = static_cast<unsigned char>(c);
    if (code < 0x20) {
      out += "\\u00";
      out += digits[code / 16];
      out += digits[code % 16];
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// The step of a complete line `{"step":N…}` of JSON or `N,…` of CSV, or -1 if the line is none.
[[nodiscard]] inline Index step_of_line(std::string_view line, bool json) {
  constexpr std::string_view opening = "{\"step\":";
  if (json) {
    if (!line.starts_with(opening) || !line.ends_with('}')) return -1;
    line.remove_prefix(opening.size());
  }
  Index step = -1;
  auto const [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  bool const delimited = end == line.data() + line.size() || *end == ',' || *end == '}';
  return error == std::errc{} && delimited ? step : -1;
}

/// Such a file, open to be continued. Each line is flushed when written, so that a killed run loses at most a torn last
/// line, which the next start drops.
class StepLines {
 public:
  /// content: what it holds, for messages. header: the first line of CSV, empty for JSON lines.
  StepLines(std::string path, std::string content, std::string header = {})
      : path_(std::move(path)), content_(std::move(content)), header_(std::move(header)) {}

  /// Opens the file with its lines up to a step and none that is torn; -1 = an empty file.
  ///
  /// errors   IoError for a file that cannot be used, has another header, or lines that are none of its kind
  void open(Index keep_until) {
    file_.reset();
    std::string const kept = header_ + (keep_until >= 0 ? lines_until(keep_until) : std::string{});
    std::string const temporary = path_ + ".tmp";
    write(open_file(temporary, "wb", "writing").get(), kept, temporary);
    expect<IoError>(std::rename(temporary.c_str(), path_.c_str()) == 0, path_, ": cannot replace ", content_,
                    ": ", std::strerror(errno));
    file_ = open_file(path_, "ab", "appending");
  }

  /// Errors: IoError for a full disk.
  void append(std::string const& line) const { write(file_.get(), line + '\n', path_); }

 private:
  [[nodiscard]] File open_file(std::string const& path, char const* mode, char const* purpose) const {
    File file(std::fopen(path.c_str(), mode));
    expect<IoError>(file != nullptr, path, ": cannot open ", content_, " for ", purpose, ": ",
                    std::strerror(errno));
    return file;
  }

  void write(std::FILE* file, std::string_view bytes, std::string const& path) const {
    bool const written =
        std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() && std::fflush(file) == 0;
    expect<IoError>(written, path, ": cannot write ", content_, ": ", std::strerror(errno),
                    "; free some space and resume");
  }

  /// Complete lines of the existing file up to a step; nothing if there is no file.
  [[nodiscard]] std::string lines_until(Index last) const {
    File const file(std::fopen(path_.c_str(), "rb"));
    if (file == nullptr && errno == ENOENT) return {};
    expect<IoError>(file != nullptr, path_, ": cannot open ", content_, " to resume: ", std::strerror(errno));
    std::string whole;
    char buffer[1 << 14];
    while (std::size_t const count = std::fread(buffer, 1, sizeof buffer, file.get()))
      whole.append(buffer, count);
    expect<IoError>(std::ferror(file.get()) == 0, path_, ": cannot read ", content_, ": ",
                    std::strerror(errno));
    std::string_view rest = whole;
    bool const torn_header = whole.size() < header_.size() && header_.starts_with(whole);
    if (torn_header) return {};
    expect<IoError>(rest.starts_with(header_), path_, ": has other columns than this run; move it away");
    rest.remove_prefix(header_.size());
    std::string lines;
    for (Index number = header_.empty() ? 1 : 2;; ++number) {
      auto const length = rest.find('\n');
      if (length == std::string_view::npos) return lines;
      Index const step = step_of_line(rest.substr(0, length), header_.empty());
      expect<IoError>(step >= 0, path_, ":", number, ": not a row of ", content_,
                      "; repair the line or move the file away");
      if (step <= last) lines.append(rest.substr(0, length + 1));
      rest.remove_prefix(length + 1);
    }
  }

  std::string path_, content_, header_;
  File file_;
};

}  // namespace aeth::train::detail
