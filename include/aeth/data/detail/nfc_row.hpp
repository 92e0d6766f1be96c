/// A character and the two that it is made of: a row of the tables of normalization form C.
#pragma once

namespace aeth::data::detail {

struct NfcRow {
  char32_t whole, first, second;
};

}  // namespace aeth::data::detail
