// Any bytes as a checkpoint, with the checksum made right so that what is behind it is reached: an IoError, or a
// checkpoint of which no bit can be changed unnoticed.
#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "aeth/io/checkpoint.hpp"
#include "fuzz/target.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth::io;
using aeth::fuzz::require;

namespace {

/// The reader's answer to a file with that content. Errors: IoError.
CheckpointReader open_content(std::string const& content) {
  static aeth::test::TemporaryFolder const folder;
  std::string const path = folder.path + "/input";
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  require(file.good(), "cannot write to the folder of temporary files");
  return CheckpointReader::open(path);
}

}  // namespace

AETH_FUZZ_TARGET(checkpoint, input) {
  std::string content(input);
  if (content.size() >= 8) {
    std::uint64_t const checksum = hash64(std::string_view(content).substr(0, content.size() - 8));
    std::memcpy(content.data() + content.size() - 8, &checksum, 8);
  }
  try {
    auto const checkpoint = open_content(content);
    require(checkpoint.metadata().count(step_note) == 1, "a checkpoint without a step");
    require(checkpoint.notices().empty(), "notices of a file opened by its path");
    for (TensorEntry const& t : checkpoint.tensors())
      require(t.name != checksum_tensor && checkpoint.find(t.name) == &t,
              "a tensor is not found by its name");
  } catch (aeth::IoError const&) {
    return false;
  }
  std::uint64_t const bit = hash64(input) % (8 * content.size());
  content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << bit % 8));
  try {
    (void)open_content(content);
  } catch (aeth::IoError const&) {
    return true;
  }
  require(false, "a changed bit was not noticed");
  return true;
}
