/// A run's progress as one line of text, rewritten in place on a terminal.
#pragma once

#include <cstdio>
#include <string>

#include "aeth/core/text.hpp"
#include "aeth/train/options.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace aeth::train {

/// `step 40/400  loss 3.214  validation 2.871 bits/byte  rate 3.00e-03  9120 tokens/s  expert load violation
/// 0.61  left 1:07`; what is not yet known is left out.
[[nodiscard, gnu::cold]] inline std::string describe(Progress const& p) {
  auto const seconds = static_cast<Index>(p.seconds_left < 1e15 ? p.seconds_left : 1e15);
  std::string line = text("step ", p.step);
  if (p.total_steps > 0) line += text('/', p.total_steps);
  line += text("  loss ", fixed(p.loss.main, 3));
  if (p.bits_per_byte > 0) line += text("  validation ", fixed(p.bits_per_byte, 3), " bits/byte");
  line += text("  rate ", scientific(p.rate, 2), "  ", fixed(p.tokens_per_second, 0),
               " tokens/s  expert load violation ", fixed(p.max_violation, 2), "  left ", seconds / 60,
               seconds % 60 < 10 ? ":0" : ":", seconds % 60);
  return line;
}

/// Writes progress to standard output or another file: for `TrainerOptions::report`. On a terminal one line,
/// rewritten with each step and kept at each validation and at the end; elsewhere a line for every fiftieth
/// step, each validation and the last step.
class ProgressLine {
 public:
  explicit ProgressLine(std::FILE* to = stdout) : to_(to) {}

  void operator()(Progress const& p) {
    bool const keep = p.validated || p.step == p.total_steps;
    if (!terminal_ && !keep && p.step % 50 != 0) return;
    std::fprintf(to_, terminal_ ? "\r\033[K%s%s" : "%s%s", describe(p).c_str(),
                 keep || !terminal_ ? "\n" : "");
    std::fflush(to_);
  }

 private:
  std::FILE* to_;
#if defined(__unix__) || defined(__APPLE__)
  bool terminal_ = isatty(fileno(to_)) != 0;
#else
  bool terminal_ = false;
#endif
};

}  // namespace aeth::train
