/// What the duration of steps tells.
#pragma once

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/detail/window.hpp"
#include "aeth/train/diagnosis.hpp"
#include "aeth/train/spike.hpp"

namespace aeth::train {

/// Compares each step with the median of a window. The one part of the monitor that the clock decides.
class SpeedDiagnoses {
 public:
  /// factor: how many times the usual duration is slow; 0 = nothing is.
  SpeedDiagnoses(Index window, double factor) : window_(window), factor_(factor), seconds_(window) {}

  void observe(double seconds, Findings& findings) {
    if (factor_ == 0.0) return;
    if (seconds_.is_full()) {
      double const usual = median(seconds_.values());
      slow_ = seconds > factor_ * usual ? slow_ + 1 : 0;
      // A fifth of the window: soon enough that the window still knows what is usual.
      if (slow_ >= max(window_ / 5, Index{5}))
        findings.push_back({Diagnosis::slow, text("the last ", slow_, " steps took ",
                                                  fixed(seconds / usual, 1), " times as long as usual")});
    }
    seconds_.add(seconds);
  }

  template <class Visit>
  void for_each_number(Visit&& visit) {
    seconds_.for_each_number(visit);
    visit(slow_);
  }
  [[nodiscard]] bool is_sound() const { return seconds_.is_sound(); }

 private:
  Index window_;
  double factor_;
  detail::Window seconds_;
  Index slow_ = 0;  ///< steps in a row
};

}  // namespace aeth::train
