// The walk that finds a token's experts, against the plain search one after another: equal values and NaN.
#include "aeth/backend/cpu/routing.hpp"

#include <limits>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/core/random.hpp"
#include "support/catch.hpp"

using namespace aeth;

TEST_CASE("the largest scores: lowest index among equals, NaN last, kept groups only", "[backend]") {
  Random random(23, RandomUse::test);
  for (int round = 0; round < 2000; ++round) {
    RoutingRule rule{};
    rule.experts = 24;
    rule.groups = 4;
    rule.top_k = 1 + static_cast<Index>(random.below(6));
    bool kept[4], any = false;
    for (bool& k : kept) any = (k = random.below(2) == 1) || any;
    if (!any) kept[3] = true;
    std::vector<float> values;
    for (Index i = 0; i < rule.experts; ++i) {
      auto const draw = random.below(10);
      values.push_back(draw == 0   ? std::numeric_limits<float>::quiet_NaN()
                       : draw == 1 ? -std::numeric_limits<float>::infinity()
                                   : static_cast<float>(random.below(7)));
    }
    bool wanted[24] = {}, taken[24] = {};
    for (Index k = 0; k < rule.top_k; ++k)
      wanted[cpu::arg_max(values.data(), rule.experts, [&](Index i) { return !wanted[i] && kept[i / 6]; })] =
          true;
    cpu::take_largest(values.data(), rule, kept, taken);
    for (Index i = 0; i < rule.experts; ++i) REQUIRE(taken[i] == wanted[i]);
  }
}
