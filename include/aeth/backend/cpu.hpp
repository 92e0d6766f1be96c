/// The CPU backend with all its operations.
#pragma once

#include "aeth/backend/cpu/attention.hpp"         // IWYU pragma: export
#include "aeth/backend/cpu/cpu.hpp"               // IWYU pragma: export
#include "aeth/backend/cpu/latent_attention.hpp"  // IWYU pragma: export
#include "aeth/backend/cpu/matmul.hpp"            // IWYU pragma: export
#include "aeth/backend/cpu/routing.hpp"           // IWYU pragma: export
#include "aeth/backend/cpu/rows.hpp"              // IWYU pragma: export
#include "aeth/backend/cpu/training.hpp"          // IWYU pragma: export
