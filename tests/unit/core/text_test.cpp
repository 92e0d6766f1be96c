#include "aeth/core/text.hpp"

#include <string>
#include <string_view>

#include "support/catch.hpp"

TEST_CASE("text joins parts of every kind, and a literal is not a bool") {
  char const* const pointer = "pointer";
  CHECK(aeth::text("literal ", pointer, ' ', std::string("string"), ' ', std::string_view("view")) ==
        "literal pointer string view");
  CHECK(aeth::text(true, ' ', false, ' ', -3, ' ', 4u, ' ', 0.5, ' ', 'c') == "true false -3 4 0.5 c");
  CHECK(aeth::fixed(2.0 / 3.0, 3) == "0.667");
}
