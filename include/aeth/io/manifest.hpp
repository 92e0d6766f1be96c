/// The manifest of a generation: what it consists of, with a hash of every part, so that nothing of it can be damaged,
/// missing or of another run unnoticed. Needs nlohmann-json.
///
/// A manifest is JSON. Its last field is the hash of all bytes before it, in all versions of the form.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/block_hash.hpp"
#include "aeth/io/json.hpp"
#include "aeth/io/tensor_entry.hpp"

namespace aeth::io {

/// Version of the form of generations.
inline constexpr std::uint64_t manifest_version = 1;

/// A safetensors file of a generation.
struct FileRecord {
  std::string name;
  std::uint64_t size = 0;    ///< bytes
  std::uint64_t header = 0;  ///< hash of everything before the tensors' bytes
  std::map<std::string, std::uint64_t, std::less<>> tensors{};  ///< hash of each one's bytes, by name
  bool operator==(FileRecord const&) const = default;
};

struct Manifest {
  std::string name;  ///< of the generation, which its folder must have
  std::string run;   ///< random, of the run's first generation
  std::uint64_t sequence =
      0;  ///< rises with each generation of a run, also where training went back some steps
  std::uint64_t step = 0;
  std::optional<double> score{};  ///< of the state, lower is better; finite
  Metadata notes{};
  std::vector<FileRecord> files{};
  bool operator==(Manifest const&) const = default;
};

namespace detail {

inline constexpr char manifest_format[] = "aeth generation";
inline constexpr std::string_view manifest_end = "\"\n}\n";

/// A whole number of only digits, in that base.
[[nodiscard]] inline std::optional<std::uint64_t> parse_number(std::string_view digits, int base = 10) {
  std::uint64_t value = 0;
  auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

/// What hash_text() gives, and nothing else.
[[nodiscard]] inline std::optional<std::uint64_t> parse_hash(std::string_view digits) {
  auto const value = parse_number(digits, 16);
  return value && hash_text(*value) == digits ? value : std::nullopt;
}

/// Text of JSON without its end, and the line with its hash.
[[nodiscard]] inline std::string with_hash(std::string content) {
  BlockHash64 hash;
  hash.add(content);
  return text(content, ",\n  \"hash\": \"", hash_text(hash.value()), manifest_end);
}

/// A text in quotes as JSON wants it. Errors: UsageError if it is not UTF-8.
[[nodiscard]] inline std::string manifest_quoted(std::string_view content) {
  try {
    return Json(content).dump();
  } catch (Json::exception const&) {
    throw UsageError(text("generation: ", in_quotes(content), " is not UTF-8; use another name or note"));
  }
}

/// Whether a name is that of a file in the same folder.
[[nodiscard]] inline bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

/// Takes the parser's events and keeps what a manifest says; throws at the first event out of place. Events and not a
/// Json object: the destructor of one takes memory, and ends the process if there is none.
class ManifestReader {
 public:
  explicit ManifestReader(std::string_view path) : path_(path) {}

  [[nodiscard]] Manifest& manifest() noexcept { return manifest_; }

  // The interface that nlohmann::json::sax_parse wants.
  bool null() { unexpected("null"); }
  bool boolean(bool) { unexpected("true or false"); }
  bool binary(std::vector<std::uint8_t>&) { unexpected("binary data"); }
  bool number_integer(std::int64_t value) { return score(static_cast<double>(value)); }
  bool number_float(double value, std::string const&) { return score(value); }

  bool number_unsigned(std::uint64_t value) {
    if (is(Level::root, "sequence")) return set(manifest_.sequence, value);
    if (is(Level::root, "step")) return set(manifest_.step, value);
    if (is(Level::file, "bytes")) return set(manifest_.files.back().size, value);
    if (!is(Level::root, "version")) return score(static_cast<double>(value));
    require(value <= manifest_version, "is ", value, ", this aeth reads up to ", manifest_version,
            "; use the one that wrote it, or a newer one");
    return true;
  }

  bool string(std::string& value) {
    if (is(Level::root, "name")) return set(manifest_.name, value);
    if (is(Level::root, "run")) return set(manifest_.run, value);
    if (level_ == Level::notes) return set(manifest_.notes[field_], value);
    if (is(Level::file, "header")) return set(manifest_.files.back().header, hash(value));
    if (level_ == Level::tensors) return set(manifest_.files.back().tensors[field_], hash(value));
    if (is(Level::file, "name")) {
      require(is_plain_name(value), "is ", in_quotes(value), "; a generation's files are in its folder");
      for (FileRecord const& file : manifest_.files)
        require(file.name != value, "is ", in_quotes(value), " of two files", foreign);
      return set(manifest_.files.back().name, value);
    }
    if (is(Level::root, "format"))
      require(value == manifest_format, "is ", in_quotes(value), "; this is no generation of aeth");
    else if (!is(Level::root, "hash"))
      unexpected("a text");
    return true;
  }

  bool key(std::string& name) {
    field_ = name;
    require(seen_[depth()].insert(name).second, "is there twice", foreign);
    return true;
  }

  bool start_object(std::size_t) {
    Level const inner = level_ == Level::outside     ? Level::root
                        : is(Level::root, "notes")   ? Level::notes
                        : level_ == Level::files     ? Level::file
                        : is(Level::file, "tensors") ? Level::tensors
                                                     : Level::outside;
    if (inner == Level::outside) unexpected("an object");
    if (inner == Level::file) manifest_.files.emplace_back();
    level_ = inner;
    seen_[depth()].clear();
    return true;
  }

  bool end_object() {
    if (level_ == Level::root)
      for (char const* const name :
           {"format", "version", "name", "run", "sequence", "step", "notes", "files"})
        need(name);
    if (level_ == Level::file)
      for (char const* const name : {"name", "bytes", "header", "tensors"}) need(name);
    level_ = level_ == Level::tensors ? Level::file : level_ == Level::file ? Level::files : Level::root;
    return true;
  }

  bool start_array(std::size_t) {
    if (!is(Level::root, "files")) unexpected("a list");
    level_ = Level::files;
    return true;
  }
  bool end_array() {
    level_ = Level::root;
    return true;
  }

  template <class Exception>
  bool parse_error(std::size_t position, std::string const&, Exception const&) {
    throw IoError(text(path_, ": not valid JSON at byte ", position, foreign));
  }

 private:
  enum class Level { outside, root, notes, files, file, tensors };
  static constexpr std::string_view foreign = "; the manifest was written by another program";

  [[nodiscard]] bool is(Level level, std::string_view field) const noexcept {
    return level_ == level && field_ == field;
  }
  /// Objects around: notes and files are inside the root, tensors inside a file.
  [[nodiscard]] std::size_t depth() const noexcept {
    return level_ == Level::root ? 0 : level_ == Level::tensors ? 2 : 1;
  }

  template <class... Parts>
  void require(bool condition, Parts const&... parts) const {
    expect<IoError>(condition, path_, ": the field \"", field_, "\" ", parts...);
  }
  void need(char const* name) {
    field_ = name;
    require(seen_[depth()].count(field_) > 0, "is missing", foreign);
  }
  [[noreturn]] void unexpected(std::string_view what) const {
    throw IoError(
        text(path_, ": the field \"", field_, "\" is ", what, ", which does not belong there", foreign));
  }

  template <class T>
  bool set(T& field, T value) {
    field = std::move(value);
    return true;
  }
  bool score(double value) {
    if (!is(Level::root, "score")) unexpected("a number");
    manifest_.score = value;
    return true;
  }
  [[nodiscard]] std::uint64_t hash(std::string const& digits) const {
    auto const value = parse_hash(digits);
    require(value.has_value(), "is ", in_quotes(digits), ", which is no hash", foreign);
    return *value;
  }

  std::string_view path_;
  Manifest manifest_;
  Level level_ = Level::outside;
  std::string field_;
  std::unordered_set<std::string> seen_[3];
};

}  // namespace detail

/// The text of a manifest. Errors: UsageError if a name or a note is not UTF-8.
[[nodiscard]] inline std::string manifest_text(Manifest const& manifest) {
  using detail::manifest_quoted;
  // Put together by hand: a Json object that runs out of memory while it grows ends the process.
  std::string out =
      text("{\n  \"format\": \"", detail::manifest_format, "\",\n  \"version\": ", manifest_version,
           ",\n  \"name\": ", manifest_quoted(manifest.name), ",\n  \"run\": ", manifest_quoted(manifest.run),
           ",\n  \"sequence\": ", manifest.sequence, ",\n  \"step\": ", manifest.step);
  if (manifest.score) out += text(",\n  \"score\": ", *manifest.score);
  out += ",\n  \"notes\": {";
  char const* before = "\n    ";
  for (auto const& [key, value] : manifest.notes) {
    out += text(before, manifest_quoted(key), ": ", manifest_quoted(value));
    before = ",\n    ";
  }
  out += "},\n  \"files\": [";
  before = "\n    ";
  for (FileRecord const& file : manifest.files) {
    out += text(before, "{\"name\": ", manifest_quoted(file.name), ", \"bytes\": ", file.size,
                ", \"header\": \"", hash_text(file.header), "\", \"tensors\": {");
    before = "\n      ";
    for (auto const& [name, hash] : file.tensors) {
      out += text(before, manifest_quoted(name), ": \"", hash_text(hash), '"');
      before = ",\n      ";
    }
    out += "}}";
    before = ",\n    ";
  }
  return detail::with_hash(out + ']');
}

/// Parses and checks a manifest. `path` is for messages.
///
/// errors   IoError that names the field, if it is not the text that manifest_text() gave, or of a newer version
[[nodiscard]] inline Manifest parse_manifest(std::string_view content, std::string_view path) {
  std::size_t const tail = detail::with_hash({}).size();
  std::string_view const before = content.substr(0, content.size() < tail ? 0 : content.size() - tail);
  std::string const whole = detail::with_hash(std::string(before));
  expect<IoError>(
      content == whole, path,
      ": its bytes are not those that were written (its last field, \"hash\", does not match); the file is "
      "damaged");
  detail::ManifestReader reader(path);
  Json::sax_parse(content.begin(), content.end(), &reader);
  return std::move(reader.manifest());
}

}  // namespace aeth::io
