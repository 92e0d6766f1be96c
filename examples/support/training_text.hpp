/// The text of the training example: read, divided, tokenized.
#pragma once

#include <iostream>
#include <string>
#include <utility>

#include "aeth/data/bpe_trainer.hpp"
#include "aeth/data/packing.hpp"
#include "aeth/data/split.hpp"
#include "aeth/data/text_source.hpp"
#include "support/console.hpp"
#include "support/train_arguments.hpp"

namespace demo {

/// Documents, tokenizer and tokens of a run.
struct TrainingText {
  aeth::data::Split split;
  aeth::data::Tokenizer tokenizer;  ///< learned from the part that is trained on
  aeth::data::TokenCorpus training, validation;

  /// The validation part as one text.
  [[nodiscard]] std::string unseen() const {
    std::string all;
    for (auto const& document : split.validation) all += document.text;
    return all;
  }
};

/// Reads what the command line names and says what was found.
inline TrainingText read_text(TrainArguments const& a) {
  aeth::data::SourceReport report;
  auto const bad_line = a.skip_bad_lines ? aeth::data::BadLine::skip : aeth::data::BadLine::stop;
  auto documents = aeth::data::read_text_source(
      a.source, {.files = {.patterns = a.patterns}, .jsonl = {.field = a.field, .bad_line = bad_line}},
      &report);
  if (report.bad_lines > 0)
    std::cout << "note: " << report.bad_lines << " bad lines were left out. First: " << report.first_problem
              << '\n';
  if (documents.size() == 1) documents = console::cut_in_parts(documents[0].text);
  auto split = aeth::data::split_documents(std::move(documents), {.fraction = a.validation_share});
  std::cout << "text: " << report.documents << " documents, " << report.bytes << " bytes from " << a.source
            << "; " << split.validation.size() << " documents (" << split.validation_bytes
            << " bytes) for validation, none of them similar to one trained on\n";
  aeth::data::BpeTrainer counts;
  for (auto const& document : split.training) counts.add(document.text);
  aeth::data::BpeReport made;
  auto tokenizer = counts.train({.vocab_size = config.vocab_size}, &made);
  if (made.stopped_early)
    std::cout << "note: the text supports only " << made.vocab_size << " of the model's " << config.vocab_size
              << " tokens; the others are never produced\n";
  auto training = aeth::data::pack(split.training, tokenizer, {.rate = a.fim_rate, .seed = a.options.seed});
  auto validation = aeth::data::pack(split.validation, tokenizer);
  return {std::move(split), std::move(tokenizer), std::move(training), std::move(validation)};
}

}  // namespace demo
