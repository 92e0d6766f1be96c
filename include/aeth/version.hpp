/// Version of the library. CMake reads these three lines; a test compares them with CHANGELOG.md.
#pragma once

#define AETH_VERSION_MAJOR 0
#define AETH_VERSION_MINOR 1
#define AETH_VERSION_PATCH 0
