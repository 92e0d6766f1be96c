// What a translation unit sees of the library; the two of them must agree.
#pragma once

#include <array>
#include <cstddef>

#include "aeth/config/model_config.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/random.hpp"

using Seen = std::array<std::size_t, 4>;

inline constexpr Seen seen_here{sizeof(aeth::ModelConfig), sizeof(aeth::Random), sizeof(aeth::Error),
                                alignof(aeth::Random)};

Seen seen_by_second();
