/// The only place that knows which Catch2 is installed: tests are written for version 3 and this header gives
/// version 2.13 (Debian 12, Ubuntu 22.04) the same names.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>

#include <string>

namespace Catch {
using Detail::Approx;

namespace Matchers {
inline auto ContainsSubstring(std::string const& part, CaseSensitive::Choice choice = CaseSensitive::Yes) {
  return Contains(part, choice);
}
}  // namespace Matchers
}  // namespace Catch
#endif
