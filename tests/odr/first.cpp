#include <cstdio>

#include "seen.hpp"

int main() {
  if (seen_by_second() == seen_here) return 0;
  std::puts("a type of the library has another size or alignment in an optimised build");
  return 1;
}
