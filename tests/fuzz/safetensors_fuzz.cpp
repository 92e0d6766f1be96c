// Any bytes as a safetensors file: a SafetensorsError, or tensors that fill the file and survive writing and
// reading. tests/fuzz/corpus/safetensors has seeds of each kind of damage.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "aeth/io/safetensors.hpp"
#include "aeth/io/safetensors_writer.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace aeth::io;
  try {
    SafetensorsView const file(std::as_bytes(std::span(data, size)), "fuzz");
    std::size_t bytes = 0;
    for (TensorEntry const& t : file.tensors()) {
      require(file.find(t.name) == &t);
      require(byte_count(t.dtype, t.shape) == std::uint64_t{t.bytes.size()});
      if (is_readable_as<float>(t.dtype)) (void)values_of<float>(t);
      bytes += t.bytes.size();
    }
    std::uint64_t length = 0;
    std::memcpy(&length, data, 8);
    require(8 + length + bytes == size);

    auto const order = detail::file_order(file.tensors());
    std::string again = detail::header_text(order, file.metadata());
    for (TensorEntry const* const t : order) again += detail::as_text(t->bytes);
    SafetensorsView const copy(std::as_bytes(std::span(again.data(), again.size())), "again");
    require(copy.metadata() == file.metadata() && copy.tensors().size() == file.tensors().size());
    for (TensorEntry const& t : file.tensors()) {
      TensorEntry const* const other = copy.find(t.name);
      require(other != nullptr && other->dtype == t.dtype && other->shape == t.shape);
      require(detail::as_text(other->bytes) == detail::as_text(t.bytes));
    }
  } catch (SafetensorsError const&) {
  }
  return 0;
}
