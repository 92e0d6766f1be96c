// A message part must have a text form.
// expect: TextPart
#include "aeth/core/text.hpp"

struct Opaque {};

#ifdef AETH_COMPILE_FAIL_OK
using Part = int;
#else
using Part = Opaque;
#endif

auto const message = aeth::text("part ", Part{});
