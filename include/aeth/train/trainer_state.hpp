/// What a trainer is given and what it is made of, beside model and options.
#pragma once

#include <cstdint>

#include "aeth/core/math.hpp"
#include "aeth/data/loader.hpp"
#include "aeth/data/packing.hpp"

namespace aeth::train {

/// What a run is made of beside weights, moments and biases. Restoring it continues the run bit for bit.
struct TrainerState {
  Index step = 0;         ///< batches done
  Index skipped = 0;      ///< of these, batches that were not applied
  Index total_steps = 0;  ///< once the schedule has fixed it
  Index decay_begin = 0;  ///< step from which the learning rate falls, fixed together with total_steps
  double seconds = 0.0;   ///< trained so far
  data::LoaderPosition position{};
  double bits_per_byte = 0.0;  ///< of the last validation; 0 before the first
  Index validated_step = 0;    ///< when that was; 0 before the first

  /// What an optimizer counts.
  [[nodiscard]] Index updates() const { return step - skipped; }
};

/// When a trainer calls its `save`.
enum class SaveMoment {
  between,  ///< after a step whose state need not be saved: an occasion to tell what became of earlier ones
  due,      ///< the state is to be saved, which may go on in the background
  last,     ///< the run ends: the state is to be on the disk when the call returns
};

/// Text to train on and to validate with. The corpora must outlive the trainer.
struct TrainingData {
  data::TokenCorpus const& training;
  data::TokenCorpus const& validation;
  Index validation_bytes =
      0;  ///< of the validation documents, for bits per byte; 0 = bits per byte are reported as 0
  std::int32_t filler = 0;  ///< any valid token id
};

}  // namespace aeth::train
