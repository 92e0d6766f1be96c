/// Counts calls of operator new in the test program that includes allocations.cpp.
#pragma once

#include <cstdint>

namespace aeth::test {
[[nodiscard]] std::int64_t allocations();
}
