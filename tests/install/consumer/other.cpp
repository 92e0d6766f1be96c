// A second translation unit, so that a definition that is not inline is noticed.
#include "tiny.hpp"

#include <aeth/core/error.hpp>
#include <aeth/core/random.hpp>

int dim_seen_elsewhere() {
  return tiny.dim;
}
