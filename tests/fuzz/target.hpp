/// What fuzz targets are made of. AETH_FUZZ_TARGET(name) begins a function `bool (std::string_view input)` that returns
/// whether the parser accepted the input. It lets errors that the parser's documentation names pass as refusals;
/// whatever else leaves it, or a require() that does not hold, is a defect. Compiled with AETH_FUZZ_REPLAY the target
/// joins the program of replay.cpp, otherwise it is what libFuzzer calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace aeth::fuzz {

using Target = bool (*)(std::string_view input);

/// Ends the program unless the condition holds, naming what is wrong about an input that the parser accepted.
inline void require(bool condition, char const* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

#ifdef AETH_FUZZ_REPLAY

/// A target by its name, in the list of those of this program.
struct Registered {
  Registered(char const* its_name, Target its_run) : name(its_name), run(its_run), next(first()) {
    first() = this;
  }
  [[nodiscard]] static Registered*& first() {
    static Registered* head = nullptr;
    return head;
  }
  char const* name;
  Target run;
  Registered* next;
};

#define AETH_FUZZ_TARGET(name, input)                                           \
  static bool fuzz_##name(std::string_view);                                    \
  static ::aeth::fuzz::Registered const registered_##name(#name, &fuzz_##name); \
  static bool fuzz_##name(std::string_view input)

#else

#define AETH_FUZZ_TARGET(name, input)                                                 \
  static bool fuzz_##name(std::string_view);                                          \
  extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) { \
    (void)fuzz_##name({size == 0 ? "" : reinterpret_cast<char const*>(data), size});  \
    return 0;                                                                         \
  }                                                                                   \
  static bool fuzz_##name(std::string_view input)

#endif

}  // namespace aeth::fuzz
