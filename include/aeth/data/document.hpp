/// A text with a name.
#pragma once

#include <string>

namespace aeth::data {

struct Document {
  std::string name;  ///< where it came from: a path, or FILE:LINE
  std::string text;  ///< any bytes; UTF-8 is expected
  bool operator==(Document const&) const = default;
};

}  // namespace aeth::data
