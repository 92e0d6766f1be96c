// Any bytes as text: words that together are the text, and whole characters however the bytes arrive.
#include <string>
#include <string_view>

#include "aeth/data/pre_tokenizer.hpp"
#include "aeth/data/unicode.hpp"
#include "aeth/data/utf8_stream.hpp"
#include "fuzz/target.hpp"

using namespace aeth::data;
using aeth::fuzz::require;

namespace {

/// What a stream gives for a text that arrives in parts of `size` bytes.
std::string streamed(std::string_view text, std::size_t size, InvalidUtf8 invalid) {
  Utf8Stream stream(invalid);
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += size) {
    out += stream.feed(text.substr(at, size));
    require(stream.held().size() <= 3, "more than the beginning of a character is held back");
  }
  return out + stream.flush();
}

}  // namespace

AETH_FUZZ_TARGET(text, content) {
  std::string words;
  pre_tokenize(content, [&](std::string_view word) {
    require(!word.empty(), "an empty word");
    words += word;
  });
  require(words == content, "the words together are not the text");

  std::size_t const size = content.size() + 1, invalid = count_invalid_utf8(content);
  std::string const valid = streamed(content, size, InvalidUtf8::replace);
  require(count_invalid_utf8(valid) == 0, "what comes out is not UTF-8");
  require((valid == content) == (invalid == 0), "valid text changed, or invalid text did not");
  require(valid.size() == content.size() + 2 * invalid, "not every invalid byte became one U+FFFD");
  for (std::size_t const part : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}}) {
    require(streamed(content, part, InvalidUtf8::replace) == valid,
            "how the bytes arrive changes the characters");
    require(streamed(content, part, InvalidUtf8::keep) == content, "bytes that should be kept changed");
  }
  return true;
}
