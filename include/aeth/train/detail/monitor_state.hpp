/// All that the monitor's decisions depend on.
#pragma once

#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/train/diagnose_loss.hpp"
#include "aeth/train/diagnose_routing.hpp"
#include "aeth/train/diagnose_speed.hpp"
#include "aeth/train/diagnosis.hpp"
#include "aeth/train/event.hpp"
#include "aeth/train/monitor_options.hpp"
#include "aeth/train/spike.hpp"

namespace aeth::train::detail {

/// What a damaged count of batches cannot exceed.
inline constexpr Index most_listed_batches = Index{1} << 20;

/// Numbers only, so that a checkpoint can hold it as text.
struct MonitorState {
  explicit MonitorState(MonitorOptions const& o)
      : loss(o.loss), gradient(o.gradient), losses(o.window), routing(o.window), speed(o.window, o.slow) {}

  SpikeDetector loss, gradient;  ///< of the gradient norm's logarithm
  LossDiagnoses losses;
  RoutingDiagnoses routing;
  SpeedDiagnoses speed;
  double largest_rate = 0.0;
  std::vector<double> norms{};    ///< per tensor, smoothed
  std::vector<BatchId> listed{};  ///< ruled out by rollbacks
  std::vector<BatchId> recent{};  ///< the last batches, which a rollback would rule out
  std::vector<Index> last_seen = std::vector<Index>(diagnoses, -1);  ///< step at which a diagnosis held last
  Index skips = 0;                                                   ///< in a row
  Index rollbacks = 0;
  Index recorded_until = 0;  ///< events up to this step are from before the last rollback

  template <class Visit>
  void for_each_number(Visit&& visit) {
    for (SpikeDetector* const detector : {&loss, &gradient}) detector->for_each_number(visit);
    losses.for_each_number(visit);
    routing.for_each_number(visit);
    speed.for_each_number(visit);
    visit(largest_rate);
    visit(norms);
    for (auto* const batches : {&listed, &recent}) {
      Index size = static_cast<Index>(batches->size());
      visit(size);
      batches->resize(to_size((min)((max)(size, Index{0}), most_listed_batches)));
      for (BatchId& batch : *batches) visit(batch.epoch), visit(batch.row);
    }
    visit(last_seen);
    for (Index* const n : {&skips, &rollbacks, &recorded_until}) visit(*n);
  }
  [[nodiscard]] bool is_sound() const {
    return loss.is_sound() && gradient.is_sound() && losses.is_sound() && routing.is_sound() &&
           speed.is_sound() && last_seen.size() == diagnoses;
  }
};

}  // namespace aeth::train::detail
