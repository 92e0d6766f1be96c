// Any bytes as a GGUF file: a GgufError, or notes and tensors that survive writing and reading.
// tests/fuzz/corpus/gguf has seeds of each kind of damage.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/io/gguf.hpp"
#include "aeth/io/gguf_writer.hpp"
#include "fuzz/target.hpp"

using namespace aeth::io;
using aeth::fuzz::require;

namespace {

GgufView open(std::string_view content) {
  return GgufView(std::as_bytes(std::span(content.data(), content.size())), "fuzz");
}

std::string write(GgufView const& file) {
  std::vector<GgufOutput> tensors;
  for (GgufTensor const& t : file.tensors()) tensors.push_back(gguf_output(t));
  std::string out;
  detail::write_gguf_to([&](std::string_view bytes) { out += bytes; }, tensors, file.metadata());
  return out;
}

/// What holds of every file that is accepted.
void check(GgufView const& file) {
  for (GgufTensor const& t : file.tensors()) {
    require(file.find(t.name) == &t, "a tensor is not found by its name");
    require(byte_count(t.type, t.shape) == std::uint64_t{t.bytes.size()}, "shape and bytes differ");
    if (is_readable(t.type)) (void)values_of<float>(t);
  }
  // An alignment near the whole memory would be padded with as much; the reader needs none of it.
  if (file.alignment() > 4096) return;
  std::string const again = write(file);
  GgufView const copy = open(again);
  // Written once more instead of compared: a NaN among the notes is not equal to itself.
  require(write(copy) == again, "the file changed in writing and reading");
  require(copy.metadata().size() == file.metadata().size(), "notes were lost in writing and reading");
  require(copy.tensors().size() == file.tensors().size(), "tensors were lost in writing and reading");
  for (std::size_t i = 0; i < copy.tensors().size(); ++i) {
    GgufTensor const &a = file.tensors()[i], &b = copy.tensors()[i];
    auto const text = [](std::span<std::byte const> bytes) {
      return std::string_view(reinterpret_cast<char const*>(bytes.data()), bytes.size());
    };
    require(a.name == b.name && a.type == b.type && a.shape == b.shape && text(a.bytes) == text(b.bytes),
            "a tensor changed in writing and reading");
  }
}

}  // namespace

AETH_FUZZ_TARGET(gguf, content) {
  try {
    (void)open(content);
  } catch (GgufError const&) {
    return false;
  }
  check(open(content));
  return true;
}
