// A backend that lacks an operation is refused where the model is made.
// expect: aeth: Model needs a backend with every operation of backend/concepts.hpp
#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/model/model.hpp"

struct Incomplete : aeth::Cpu {
#ifndef AETH_COMPILE_FAIL_OK
  void cross_entropy() = delete;  // hides the operation
#endif
};

void make(Incomplete& backend) {
  aeth::Model<aeth::presets::tiny, aeth::Fp32, Incomplete> const model(backend);
}
