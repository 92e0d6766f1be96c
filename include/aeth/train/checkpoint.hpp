/// Checkpoints of a training run: everything that the next step depends on. Needs nlohmann-json.
///
/// A checkpoint holds the weights and selection biases under their Hugging Face names, both AdamW moments as
/// `optimizer.first` and `optimizer.second`, and the trainer's state as notes. A run that is resumed from one
/// equals an uninterrupted run bit for bit.
#pragma once

#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
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

/// The hash of the options that a resumed run must share.
[[nodiscard]] inline std::uint64_t options_hash(TrainerOptions const& o) {
  io::Hash64 hash;
  hash.add(text(o.batch_rows, ' ', o.length, ' ', o.peak_rate, ' ', o.final_rate, ' ', o.warmup_steps, ' ',
                o.decay_share, ' ', o.steps, ' ', o.adamw.beta1, ' ', o.adamw.beta2, ' ', o.adamw.epsilon,
                ' ', o.adamw.weight_decay, ' ', o.adamw.clip, ' ', o.loss.mtp_weight, ' ',
                o.loss.balance_weight, ' ', o.bias_rate, ' ', o.isolate_documents, ' ', o.seed));
  return hash.value();
}

}  // namespace detail

/// Writes a checkpoint of a trainer into a folder, keeping the last `keep`.
///
/// errors   IoError if it cannot be written; older checkpoints are intact then
template <class Model>
io::WrittenCheckpoint save_checkpoint(Trainer<Model>& trainer, std::string const& folder,
                                      std::size_t keep = 2) {
  using T = typename Model::Master;
  TrainerState const& state = trainer.state();
  auto tensors = weight_entries(trainer.model());
  auto const moments = [&](char const* name, VectorView<T> values) {
    tensors.push_back(io::tensor_entry<T>(name, {static_cast<std::uint64_t>(values.size)},
                                          {values.data, to_size(values.size)}));
  };
  moments(detail::first_moments, trainer.first_moments());
  moments(detail::second_moments, trainer.second_moments());
  io::Metadata notes{{"aeth.total_steps", text(state.total_steps)},
                     {"aeth.decay_begin", text(state.decay_begin)},
                     {"aeth.seconds", text(state.seconds)},
                     {"aeth.data.epoch", text(state.position.epoch)},
                     {"aeth.data.row", text(state.position.row)},
                     {"aeth.data.fingerprint", text(state.position.data)},
                     {"aeth.data.order", text(state.position.order)},
                     {"aeth.options", text(detail::options_hash(trainer.options()))}};
  add_config_notes(notes, Model::config);
  return io::CheckpointWriter(folder, keep).write(static_cast<std::uint64_t>(state.step), tensors, notes);
}

/// Continues a run from the newest good checkpoint of a folder; returns what had to be passed over, for the
/// user to read.
///
/// errors   IoError if no checkpoint is good, ConfigError if it is of another model, UsageError if the
///          options that shape a run differ, DataError if the data do; the trainer keeps what it had
template <class Model>
std::vector<std::string> resume(Trainer<Model>& trainer, std::string const& folder) {
  auto const checkpoint = io::CheckpointReader::latest(folder);
  std::string const& path = checkpoint.path();
  expect_same_config(checkpoint.metadata(), Model::config, path);
  expect<UsageError>(
      detail::note<std::uint64_t>(checkpoint, "aeth.options") == detail::options_hash(trainer.options()),
      path,
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
  auto const& first = checkpoint.at(detail::first_moments);
  auto const& second = checkpoint.at(detail::second_moments);
  std::vector<io::TensorEntry> weights;
  for (auto const& t : checkpoint.tensors())
    if (&t != &first && &t != &second) weights.push_back(t);
  auto const size = static_cast<std::uint64_t>(trainer.first_moments().size);
  expect<IoError>(first.shape == io::TensorShape{size} && second.shape == io::TensorShape{size}, path,
                  ": the optimizer's moments do not have the model's ", size,
                  " elements; the file is damaged");
  // Each of these leaves everything as it was if it throws; the copies cannot.
  trainer.check(state.position);
  assign_weights(trainer.model(), weights, path);
  trainer.restore(state);
  io::copy_values(first, 0, to_size(trainer.first_moments().size), trainer.first_moments().data);
  io::copy_values(second, 0, to_size(trainer.second_moments().size), trainer.second_moments().data);
  return checkpoint.notices();
}

/// Only the weights of the newest good checkpoint, for inference.
///
/// errors   as resume()
template <class Model>
std::vector<std::string> load_checkpoint_weights(Model& model, std::string const& folder) {
  auto const checkpoint = io::CheckpointReader::latest(folder);
  expect_same_config(checkpoint.metadata(), Model::config, checkpoint.path());
  std::vector<io::TensorEntry> weights;
  for (auto const& t : checkpoint.tensors())
    if (t.name != detail::first_moments && t.name != detail::second_moments) weights.push_back(t);
  assign_weights(model, weights, checkpoint.path());
  return checkpoint.notices();
}

}  // namespace aeth::train
