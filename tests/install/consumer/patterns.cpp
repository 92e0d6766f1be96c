// A translation unit that needs the library behind aeth::pcre2.
#include <aeth/data/pcre2_split.hpp>

bool splits_digits() {
  aeth::data::PreTokenizer steps;
  steps.splits.push_back({R"(\p{N})"});
  int words = 0;
  auto take = [&](std::string_view) { ++words; };
  aeth::data::pcre2_splitter(steps)->split("a12", aeth::data::WordSink(take));
  return words == 3;
}
