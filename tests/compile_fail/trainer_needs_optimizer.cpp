// What has no moments and no update is no optimizer.
// expect: aeth: Trainer needs an optimizer as optim/concepts.hpp describes it
#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/train/trainer.hpp"

#ifdef AETH_COMPILE_FAIL_OK
using Chosen = aeth::optim::Sgd;
#else
struct Chosen {
  static constexpr int moments = 1;
};
#endif

void check(aeth::train::Trainer<aeth::Model<aeth::presets::tiny, aeth::Fp32>, Chosen>& trainer) {
  (void)trainer.state();
}
