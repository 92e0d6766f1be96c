/// All model presets.
#pragma once

#include "aeth/config/presets/deepseek_v2.hpp"
#include "aeth/config/presets/deepseek_v3.hpp"
#include "aeth/config/presets/kimi_k2.hpp"
#include "aeth/config/presets/laptop.hpp"
#include "aeth/config/presets/moonlight.hpp"
