/// Everything to configure, train and run a model on a CPU. Files that hold JSON (tokenizers, checkpoints,
/// JSON lines) have headers of their own, and so have other backends.
#pragma once

#include "aeth/backend/cpu.hpp"          // IWYU pragma: export
#include "aeth/config/model_card.hpp"    // IWYU pragma: export
#include "aeth/config/model_config.hpp"  // IWYU pragma: export
#include "aeth/config/presets.hpp"       // IWYU pragma: export
#include "aeth/data.hpp"                 // IWYU pragma: export
#include "aeth/infer/generate.hpp"       // IWYU pragma: export
#include "aeth/infer/session.hpp"        // IWYU pragma: export
#include "aeth/model/model.hpp"          // IWYU pragma: export
#include "aeth/model/pass.hpp"           // IWYU pragma: export
#include "aeth/numeric/precision.hpp"    // IWYU pragma: export
#include "aeth/train/progress_line.hpp"  // IWYU pragma: export
#include "aeth/train/trainer.hpp"        // IWYU pragma: export
#include "aeth/version.hpp"              // IWYU pragma: export
