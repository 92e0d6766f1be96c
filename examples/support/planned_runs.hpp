/// The runs that the planning example starts from.
#pragma once

#include <map>
#include <string>

#include "aeth/config/parallel_plan.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/config/recipe.hpp"

namespace demo {

/// A preset, how many tokens its recipe trains on, if one was published, and the plan to begin with.
struct Run {
  aeth::ModelConfig config;
  double tokens = 0.0;
  aeth::ParallelPlan plan{};
  std::string hardware = "zen4";
};

/// By the preset's name; those without a published plan begin with one device.
inline std::map<std::string, Run> runs() {
  aeth::ParallelPlan const v2{
      .data = 8,
      .pipeline = 16,
      .expert = 8,
      .schedule = aeth::Schedule::zb1p,
      .batch_rows = 9216};  // arXiv:2405.04434 §3.1.3; the number of devices was not published
  aeth::ParallelPlan const one{
      .products = aeth::Products::fp32, .micro_rows = 4, .batch_rows = 16, .context = 256};
  aeth::ParallelPlan const& v3 = aeth::presets::deepseek_v3_plan;
  double const v3_tokens = aeth::presets::deepseek_v3_recipe.tokens;
  return {{"deepseek_v3", {aeth::presets::deepseek_v3, v3_tokens, v3, "h800"}},
          {"deepseek_r1", {aeth::presets::deepseek_r1, v3_tokens, v3, "h800"}},
          {"deepseek_v2", {aeth::presets::deepseek_v2, aeth::presets::deepseek_v2_recipe.tokens, v2, "h800"}},
          {"deepseek_v2_lite",
           {aeth::presets::deepseek_v2_lite, aeth::presets::deepseek_v2_lite_recipe.tokens, one}},
          {"kimi_k2", {aeth::presets::kimi_k2, 0.0, v3, "h800"}},
          {"moonlight_16b_a3b", {aeth::presets::moonlight_16b_a3b, 0.0, one}},
          {"tiny", {aeth::presets::tiny, 0.0, one}},
          {"micro", {aeth::presets::micro, 0.0, one}},
          {"mini", {aeth::presets::mini, 0.0, one}},
          {"medium", {aeth::presets::medium, 0.0, one}}};
}

}  // namespace demo
