/// What the training example says at the end.
#pragma once

#include <iostream>
#include <string>

#include "aeth/core/text.hpp"
#include "aeth/io/file.hpp"
#include "aeth/train/agreement.hpp"
#include "support/console.hpp"
#include "support/training_text.hpp"

namespace demo {

/// Bits per byte beside those of compressors, for which the text is written to the run's folder, and how well the second next
/// token is predicted.
template <class Trainer>
void print_results(Trainer& trainer, TrainingText const& text, std::string const& folder) {
  auto const result = trainer.validate_now();
  std::string const text_path = folder + "/validation.txt", unseen = text.unseen();
  aeth::io::write_file_atomic(text_path, unseen);
  auto const bits = [&](char const* command) {
    double const size = console::compressed_size(command, text_path);
    return size > 0 ? aeth::fixed(8.0 * size / static_cast<double>(unseen.size()), 3)
                    : std::string("not installed");
  };
  std::cout << "\nbits per byte: aeth " << aeth::fixed(trainer.bits_per_byte(result), 3) << ", gzip "
            << bits("gzip -9") << ", xz " << bits("xz -9") << "\n";
  if (trainer.options().loss.mtp_weight > 0)
    std::cout
        << "multi-token prediction: next token " << aeth::fixed(result.loss(), 3) << " nats, the one after "
        << aeth::fixed(result.mtp_loss(), 3) << " nats; it agrees with the main model's own choice "
        << aeth::fixed(
               100.0 * aeth::train::second_token_agreement(trainer.model(), trainer.validation()).share(), 1)
        << " % of the time\n";
}

}  // namespace demo
