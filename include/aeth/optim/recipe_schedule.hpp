/// A published learning-rate schedule stretched to a run of any length.
#pragma once

#include <cmath>

#include "aeth/config/recipe.hpp"
#include "aeth/core/math.hpp"
#include "aeth/optim/check.hpp"
#include "aeth/optim/schedule.hpp"

namespace aeth::optim {

/// How long the run is, and at which peak. A smaller model wants a higher rate than the paper's.
struct RecipeScheduleOptions {
  Index total_steps = 0;   ///< warm-up included
  Index warmup_steps = 0;  ///< taken from the first stage
  double peak = 0.0;       ///< of the first stage; all rates are scaled alike. 0 = the recipe's own
};

/// The recipe's stages at the same shares of the run, e.g. V3: constant to 68 %, cosine to 97 %, then two
/// floors.
///
/// A stage ends at the step nearest to its share of the tokens, as with a constant batch size.
///
/// errors   UsageError
[[nodiscard]] inline Schedule recipe_schedule(PretrainingRecipe const& recipe,
                                              RecipeScheduleOptions const& o) {
  detail::require_positive_steps("RecipeScheduleOptions::total_steps", o.total_steps);
  detail::require_steps("RecipeScheduleOptions::warmup_steps", o.warmup_steps);
  detail::require_not_negative("RecipeScheduleOptions::peak", o.peak);
  double tokens = 0.0;
  for (auto const& stage : recipe.stages) {
    detail::require_not_negative("RateStage::tokens", stage.tokens);
    tokens += stage.tokens;
  }
  detail::require_positive("the sum of RateStage::tokens", tokens);
  detail::require_positive("RateStage::from of the first stage", recipe.stages[0].from);
  double const scale = o.peak > 0.0 ? o.peak / recipe.stages[0].from : 1.0;
  Schedule schedule;
  schedule.pieces[0] = {o.warmup_steps, 0.0, recipe.stages[0].from * scale, RateShape::linear};
  Index begin = o.warmup_steps;
  double done = 0.0;
  for (std::size_t i = 0; i < recipe.stages.size(); ++i) {
    auto const& stage = recipe.stages[i];
    done += stage.tokens;
    auto const end =
        static_cast<Index>(std::floor(std::fma(done / tokens, static_cast<double>(o.total_steps), 0.5)));
    expect<UsageError>(begin <= end,
                       "RecipeScheduleOptions::warmup_steps must end before the first stage does, at step ",
                       end, "; got ", o.warmup_steps);
    schedule.pieces[i + 1] = {end - begin, stage.from * scale, stage.to * scale, stage.shape};
    begin = end;
  }
  return schedule;
}

}  // namespace aeth::optim
