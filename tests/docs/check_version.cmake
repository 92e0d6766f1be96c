# The version of version.hpp, which CMake has read, is the newest one in CHANGELOG.md.
#
#   cmake -D ROOT=<repository> -D VERSION=<version> -P check_version.cmake
file(STRINGS ${ROOT}/CHANGELOG.md headings REGEX "^## ")
list(GET headings 0 newest)
if(NOT "${newest} " MATCHES "^## ([0-9.]+) " OR NOT CMAKE_MATCH_1 STREQUAL VERSION)
  message(FATAL_ERROR "version.hpp says ${VERSION}, the first heading of CHANGELOG.md is '${newest}'")
endif()
