// DeepSeek-V3 with a depth of one's choice: every member of the model, of its pass and of its training step.
// Not run: the weights would not fit into a machine.
#pragma once

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets/deepseek_v3.hpp"
#include "aeth/model/model.hpp"
#include "aeth/model/pass.hpp"
#include "aeth/train/step.hpp"

template <int Layers>
inline constexpr aeth::ModelConfig v3_with_layers =
    aeth::with(aeth::presets::deepseek_v3, [](aeth::ModelConfig& c) { c.layers = Layers; });

template <int Layers>
using V3 = aeth::Model<v3_with_layers<Layers>, aeth::Bf16, aeth::Cpu>;
