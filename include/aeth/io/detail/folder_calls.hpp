/// Making, listing and removing folders on any file system.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/file.hpp"
#include "aeth/io/file_system.hpp"

namespace aeth::io::detail {

/// The names in a folder, in no order. Errors: IoError.
[[nodiscard]] inline std::vector<std::string> names_in(std::string const& folder, FileSystem& system) {
  std::vector<std::string> names;
  if (uninterrupted([&] { return names.clear(), system.list(folder.c_str(), names); }) != 0)
    throw_io_error("list", folder, errno);
  return names;
}

/// Makes a folder and those that it is in, as far as they are missing, and makes their names last. Errors: IoError.
inline void make_folders(std::string const& path, FileSystem& system) {
  if (system.make_folder(path.c_str()) == 0) return flush_folder(folder_of(path), system);
  int const error = errno;
  if (error == EEXIST) {
    if (FileDescriptor::open(path, O_RDONLY | O_DIRECTORY, system).is_open()) return;
    throw_io_error("create the folder", path, errno);
  }
  std::size_t const slash = path.rfind('/');
  if (error != ENOENT || slash == path.npos || slash == 0) throw_io_error("create the folder", path, error);
  make_folders(path.substr(0, slash), system);
  if (system.make_folder(path.c_str()) != 0) throw_io_error("create the folder", path, errno);
  flush_folder(folder_of(path), system);
}

/// Errors: IoError.
inline void remove_if_there(std::string const& path, FileSystem& system) {
  if (system.remove_file(path.c_str()) != 0 && errno != ENOENT) throw_io_error("remove", path, errno);
}

/// Removes a folder and the files in it, if it is there. Errors: IoError, such as for a folder in it.
inline void remove_folder_with_files(std::string const& path, FileSystem& system) {
  std::vector<std::string> names;
  if (uninterrupted([&] { return names.clear(), system.list(path.c_str(), names); }) != 0) {
    if (errno == ENOENT) return;
    throw_io_error("remove", path, errno);
  }
  for (std::string const& name : names) remove_if_there(text(path, '/', name), system);
  if (system.remove_folder(path.c_str()) != 0) throw_io_error("remove", path, errno);
}

}  // namespace aeth::io::detail
