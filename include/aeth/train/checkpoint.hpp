/// Checkpoints of a training run: everything that the next step depends on. Needs nlohmann-json.
///
/// A checkpoint holds the weights and selection biases under their Hugging Face names, the optimizer's moments as
/// `optimizer.first` and `optimizer.second`, and the trainer's state as notes. A run that is resumed from one
/// equals an uninterrupted run bit for bit.
#pragma once

#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/checkpoint.hpp"
#include "aeth/model/weights.hpp"
#include "aeth/train/trainer.hpp"

namespace aeth::train {

namespace detail {

inline constexpr char first_moments[] = "optimizer.first", second_moments[] = "optimizer.second";

/// A note of a checkpoint as a number.
///
/// errors   IoError if the note is missing or no number
template <class T>
[[nodiscard]] T note(io::CheckpointReader const& checkpoint, char const* name) {
  auto const found = checkpoint.metadata().find(name);
  expect<IoError>(found != checkpoint.metadata().end(), checkpoint.path(), ": the note ", name,
                  " is missing; this is no checkpoint of a training run");
  T value{};
  char const* const end = found->second.data() + found->second.size();
  auto const parsed = std::from_chars(found->second.data(), end, value);
  expect<IoError>(parsed.ec == std::errc() && parsed.ptr == end, checkpoint.path(), ": the note ", name,
                  " is '", found->second, "', which is no number");
  return value;
}

/// The tensors of the model, without the optimizer's.
[[nodiscard]] inline std::vector<io::TensorEntry> weights(io::CheckpointReader const& checkpoint) {
  std::vector<io::TensorEntry> tensors;
  for (auto const& t : checkpoint.tensors())
    if (t.name != first_moments && t.name != second_moments) tensors.push_back(t);
  return tensors;
}

/// The hash of the options that a resumed run must share.
template <class Model, class Optimizer>
[[nodiscard]] std::uint64_t options_hash(Trainer<Model, Optimizer> const& trainer) {
  TrainerOptions const& o = trainer.options();
  io::Hash64 hash;
  hash.add(text(o.batch_rows, ' ', o.length, ' ', o.steps, ' ', o.loss.mtp_weight, ' ', o.loss.balance_weight,
                ' ', o.bias_rate, ' ', o.isolate_documents, ' ', o.seed, ' '));
  hash.add(describe(trainer.optimizer().options()));
  if (o.schedule)
    for (auto const& piece : o.schedule->pieces)
      hash.add(text(' ', piece.steps, ' ', piece.from, ' ', piece.to, ' ', static_cast<int>(piece.shape)));
  else
    hash.add(text(' ', o.learning_rate, ' ', o.final_rate, ' ', o.warmup_steps, ' ', o.decay_share));
  return hash.value();
}

/// The moment buffers of a trainer and their names in a checkpoint.
template <class Model, class Optimizer>
[[nodiscard]] auto moments(Trainer<Model, Optimizer>& trainer) {
  using Moment = std::pair<char const*, VectorView<typename Model::Master>>;
  std::vector<Moment> all{{first_moments, trainer.first_moments()}};
  if (Optimizer::moments > 1) all.push_back({second_moments, trainer.second_moments()});
  return all;
}

}  // namespace detail

/// Writes a checkpoint of a trainer into a folder, keeping the last `keep`.
///
/// errors   IoError if it cannot be written; older checkpoints are intact then
template <class Model, class Optimizer>
io::WrittenCheckpoint save_checkpoint(Trainer<Model, Optimizer>& trainer, std::string const& folder,
                                      std::size_t keep = 2) {
  using T = typename Model::Master;
  TrainerState const& state = trainer.state();
  auto tensors = weight_entries(trainer.model());
  for (auto const& [name, values] : detail::moments(trainer))
    tensors.push_back(io::tensor_entry<T>(name, {static_cast<std::uint64_t>(values.size)},
                                          {values.data, to_size(values.size)}));
  io::Metadata notes{
      {"aeth.total_steps", text(state.total_steps)},   {"aeth.decay_begin", text(state.decay_begin)},
      {"aeth.seconds", text(state.seconds)},           {"aeth.data.epoch", text(state.position.epoch)},
      {"aeth.data.row", text(state.position.row)},     {"aeth.data.fingerprint", text(state.position.data)},
      {"aeth.data.order", text(state.position.order)}, {"aeth.options", text(detail::options_hash(trainer))}};
  add_config_notes(notes, Model::config);
  return io::CheckpointWriter(folder, keep).write(static_cast<std::uint64_t>(state.step), tensors, notes);
}

/// Continues a run from the newest good checkpoint of a folder; returns what had to be passed over, for the
/// user to read.
///
/// errors   IoError if no checkpoint is good, ConfigError if it is of another model, UsageError if the
///          options that shape a run differ, DataError if the data do; the trainer keeps what it had
template <class Model, class Optimizer>
std::vector<std::string> resume(Trainer<Model, Optimizer>& trainer, std::string const& folder) {
  auto const checkpoint = io::CheckpointReader::latest(folder);
  std::string const& path = checkpoint.path();
  expect_same_config(checkpoint.metadata(), Model::config, path);
  expect<UsageError>(
      detail::note<std::uint64_t>(checkpoint, "aeth.options") == detail::options_hash(trainer), path,
      ": made with other training options (batch, length, rates, optimizer, losses, seed); resume with the "
      "same ones, or "
      "start a new run in another folder");
  TrainerState state;
  state.step = static_cast<Index>(checkpoint.step());
  state.total_steps = detail::note<Index>(checkpoint, "aeth.total_steps");
  state.decay_begin = detail::note<Index>(checkpoint, "aeth.decay_begin");
  state.seconds = detail::note<double>(checkpoint, "aeth.seconds");
  state.position = {detail::note<std::uint64_t>(checkpoint, "aeth.data.epoch"),
                    detail::note<Index>(checkpoint, "aeth.data.row"),
                    detail::note<std::uint64_t>(checkpoint, "aeth.data.fingerprint"),
                    detail::note<std::uint64_t>(checkpoint, "aeth.data.order")};
  expect<IoError>(state.step >= 0 && state.decay_begin >= 0 && state.decay_begin <= state.total_steps, path,
                  ": step ", state.step, ", decay from ", state.decay_begin, " of ", state.total_steps,
                  " steps make no sense; the file is damaged");
  auto const moments = detail::moments(trainer);
  for (auto const& [name, values] : moments) {
    expect<IoError>(io::is_readable_as<typename Model::Master>(checkpoint.at(name).dtype), path, ": ", name,
                    " is of a type that cannot be read; the file is damaged");
    expect<IoError>(checkpoint.at(name).shape == io::TensorShape{static_cast<std::uint64_t>(values.size)},
                    path, ": ", name, " does not have the model's ", values.size,
                    " elements; the file is damaged");
  }
  // Each of these leaves everything as it was if it throws; the copies cannot.
  trainer.check(state.position);
  assign_weights(trainer.model(), detail::weights(checkpoint), path);
  trainer.restore(state);
  for (auto const& [name, values] : moments)
    io::copy_values(checkpoint.at(name), 0, to_size(values.size), values.data);
  return checkpoint.notices();
}

/// Only the weights of the newest good checkpoint, for inference.
///
/// errors   as resume()
template <class Model>
std::vector<std::string> load_checkpoint_weights(Model& model, std::string const& folder) {
  auto const checkpoint = io::CheckpointReader::latest(folder);
  expect_same_config(checkpoint.metadata(), Model::config, checkpoint.path());
  assign_weights(model, detail::weights(checkpoint), checkpoint.path());
  return checkpoint.notices();
}

}  // namespace aeth::train
