// Any bytes as a safetensors file: a SafetensorsError, or tensors that fill the file and survive writing and
// reading. tests/fuzz/corpus/safetensors has seeds of each kind of damage.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "aeth/io/safetensors.hpp"
#include "aeth/io/safetensors_writer.hpp"
#include "fuzz/target.hpp"

using namespace aeth::io;
using aeth::fuzz::require;

namespace {

/// What holds of every file that is accepted.
void check(SafetensorsView const& file, std::string_view content) {
  std::size_t bytes = 0;
  for (TensorEntry const& t : file.tensors()) {
    require(file.find(t.name) == &t, "a tensor is not found by its name");
    require(byte_count(t.dtype, t.shape) == std::uint64_t{t.bytes.size()}, "shape and bytes differ");
    if (is_readable_as<float>(t.dtype)) (void)values_of<float>(t);
    bytes += t.bytes.size();
  }
  std::uint64_t length = 0;
  std::memcpy(&length, content.data(), 8);
  require(8 + length + bytes == content.size(), "the tensors do not fill the file");

  auto const order = detail::file_order(file.tensors());
  std::string again = detail::header_text(order, file.metadata());
  for (TensorEntry const* const t : order) again += detail::as_text(t->bytes);
  SafetensorsView const copy(std::as_bytes(std::span(again.data(), again.size())), "again");
  require(copy.metadata() == file.metadata(), "the notes changed in writing and reading");
  require(copy.tensors().size() == file.tensors().size(), "tensors were lost in writing and reading");
  for (TensorEntry const& t : file.tensors()) {
    TensorEntry const* const other = copy.find(t.name);
    require(other != nullptr && other->dtype == t.dtype && other->shape == t.shape &&
                detail::as_text(other->bytes) == detail::as_text(t.bytes),
            "a tensor changed in writing and reading");
  }
}

}  // namespace

AETH_FUZZ_TARGET(safetensors, content) {
  auto const open = [&] {
    return SafetensorsView(std::as_bytes(std::span(content.data(), content.size())), "fuzz");
  };
  try {
    (void)open();
  } catch (SafetensorsError const&) {
    return false;
  }
  check(open(), content);
  return true;
}
