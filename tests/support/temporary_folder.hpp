/// What tests of files share: a folder that goes away, and the text of an error.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

#include "aeth/core/error.hpp"

namespace aeth::test {

struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    // mkdtemp replaces the last six characters, which must be X.
    std::string name = (std::filesystem::temp_directory_path() / "aeth-test-").string() + std::string(6, 'X');
    path = ::mkdtemp(name.data());
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
  }
};

/// What an E says that f throws; "no error" if it throws none.
template <class E = Error, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (E const& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace aeth::test
