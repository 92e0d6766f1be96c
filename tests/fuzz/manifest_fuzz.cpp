// Any bytes as a manifest, with its hash made right so that what is behind it is reached: an IoError, or a manifest that
// survives writing and reading, names no file outside its folder, and of which no bit can be changed unnoticed.
#include <string>
#include <string_view>

#include "aeth/io/manifest.hpp"
#include "fuzz/target.hpp"

using namespace aeth::io;
using aeth::fuzz::require;

AETH_FUZZ_TARGET(manifest, input) {
  std::string content = detail::with_hash(std::string(input));
  Manifest manifest;
  try {
    manifest = parse_manifest(content, "fuzz");
  } catch (aeth::IoError const&) {
    return false;
  }
  for (FileRecord const& file : manifest.files)
    require(file.name.find('/') == file.name.npos, "a manifest names a file outside its folder");
  require(parse_manifest(manifest_text(manifest), "again") == manifest,
          "a manifest changed in writing and reading");
  std::size_t const bit = static_cast<std::size_t>(hash64(input) % (8 * content.size()));
  content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << bit % 8));
  try {
    (void)parse_manifest(content, "fuzz");
  } catch (aeth::IoError const&) {
    return true;
  }
  require(false, "a changed bit was not noticed");
  return true;
}
