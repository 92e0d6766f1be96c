/// Checkpoints of a training run: everything that the next step depends on. Needs nlohmann-json.
///
/// A checkpoint is a generation (`io/generations.hpp`) of two files: model.safetensors has weights and selection biases
/// under their Hugging Face names, and is a file of `load_weights` too; optimizer.safetensors has the moments. The
/// trainer's state and the options that shape a run are notes of its manifest. Equal states have equal files. A run that
/// is resumed from one equals an uninterrupted run bit for bit, whatever the number of threads.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/io/generation_writer.hpp"
#include "aeth/io/generations.hpp"
#include "aeth/model/weights.hpp"
#include "aeth/numeric/f8_arithmetic.hpp"
#include "aeth/numeric/precision.hpp"
#include "aeth/train/detail/numbers.hpp"
#include "aeth/train/monitor.hpp"
#include "aeth/train/trainer.hpp"
#include "aeth/version.hpp"

namespace aeth::train {

/// The files of a checkpoint.
inline constexpr char model_file[] = "model.safetensors", optimizer_file[] = "optimizer.safetensors";

namespace detail {

inline constexpr char first_moments[] = "optimizer.first", second_moments[] = "optimizer.second";
inline constexpr std::string_view option_prefix = "option.", skipped_note = "skipped",
                                  monitor_note = "monitor", recorded_note = "monitor.recorded_until";

[[nodiscard]] inline std::string library_version() {
  return text(AETH_VERSION_MAJOR, '.', AETH_VERSION_MINOR, '.', AETH_VERSION_PATCH);
}

/// A note of a checkpoint as text.
///
/// errors   IoError if the note is missing
[[nodiscard]] inline std::string const& note_text(io::Generation const& checkpoint, std::string_view name) {
  auto const found = checkpoint.notes().find(name);
  expect<IoError>(found != checkpoint.notes().end(), checkpoint.path(), ": the note ", name,
                  " is missing; this is no checkpoint of a training run");
  return found->second;
}

/// A note of a checkpoint as a number.
///
/// errors   IoError if the note is missing or no number
template <class T>
[[nodiscard]] T note(io::Generation const& checkpoint, std::string_view name) {
  std::string const& content = note_text(checkpoint, name);
  T value{};
  char const* const end = content.data() + content.size();
  auto const parsed = std::from_chars(content.data(), end, value);
  expect<IoError>(parsed.ec == std::errc() && parsed.ptr == end, checkpoint.path(), ": the note ", name,
                  " is '", content, "', which is no number");
  return value;
}

/// The types of a policy, on which its arithmetic depends.
template <class P>
using RoleTypes = void(typename P::Master, typename P::Moment, typename P::Weight, typename P::WideWeight,
                       typename P::Activation, typename P::Kept, typename P::Accumulator, typename P::Exact);
template <class P, class Standard>
inline constexpr bool is_own_name =
    std::is_same_v<RoleTypes<P>, RoleTypes<Standard>>&& std::string_view(P::name) == Standard::name;

template <class T>
[[nodiscard]] constexpr std::string_view type_text() {
  if constexpr (std::is_same_v<T, e4m3>)
    return io::name_of(io::DType::f8_e4m3);
  else
    return io::name_of(io::dtype_of<T>);
}

/// The name of a policy of the library; of another one its types too, for one that is derived may have the name of its base.
template <class P>
[[nodiscard]] std::string precision_text() {
  std::string const name(P::name);
  if constexpr (is_own_name<P, Fp32> || is_own_name<P, Fp64> || is_own_name<P, Bf16> || is_own_name<P, Fp8>)
    return name;
  else
    return text(name, " with masters in ", type_text<typename P::Master>(), ", moments in ",
                type_text<typename P::Moment>(), ", weights in ", type_text<typename P::Weight>(), " and ",
                type_text<typename P::WideWeight>(), ", activations in ", type_text<typename P::Activation>(),
                ", kept in ", type_text<typename P::Kept>(), ", sums in ",
                type_text<typename P::Accumulator>(), ", all else in ", type_text<typename P::Exact>());
}

inline constexpr std::string_view micro_rows_option = "micro_rows", f8_option = "f8_arithmetic";

/// What else the arithmetic of an FP8 run depends on: how products are computed, and the rows that go through at once,
/// whose tokens share the scales of a weight's gradient.
template <class Model>
void add_f8_options(io::Metadata& options, Model& model, TrainerOptions const& o) {
  if constexpr (std::is_same_v<typename Model::Weight, e4m3>) {
    options.emplace(micro_rows_option,
                    text(o.micro_rows > 0 ? min(o.micro_rows, o.batch_rows) : o.batch_rows));
    if constexpr (requires { model.backend().f8_arithmetic(); }) {
      F8Arithmetic const& a = model.backend().f8_arithmetic();
      options.emplace(f8_option, text(a.scales == ScaleForm::any ? "any" : "power of two", " scales, ",
                                      a.square_tiles ? "square tiles, " : "",
                                      a.limited() ? "a tensor core's sums of " : "", a.accumulator_bits,
                                      " bits", a.promote || !a.limited() ? "" : ", not promoted"));
    }
  }
}

/// What a resumed run must share with the one that it continues, by name. The number of threads changes no bit of it, and
/// micro_rows none but in FP8.
template <class Model, class Optimizer>
[[nodiscard]] io::Metadata run_options(Trainer<Model, Optimizer>& trainer) {
  TrainerOptions const& o = trainer.options();
  io::Metadata options{{"precision", precision_text<typename Model::PrecisionPolicy>()},
                       {"batch_rows", text(o.batch_rows)},
                       {"length", text(o.length)},
                       {"steps", text(o.steps)},
                       {"isolate_documents", text(o.isolate_documents)},
                       {"seed", text(o.seed)},
                       {"loss.mtp_weight", text(o.loss.mtp_weight)},
                       {"loss.balance_weight", text(o.loss.balance_weight)},
                       {"bias_rate", text(o.bias_rate)},
                       {"optimizer", describe(trainer.optimizer().options())}};
  add_f8_options(options, trainer.model(), o);
  if (!o.schedule) {
    options["learning_rate"] = text(o.learning_rate);
    options["final_rate"] = text(o.final_rate);
    options["warmup_steps"] = text(o.warmup_steps);
    options["decay_share"] = text(o.decay_share);
    return options;
  }
  std::string& pieces = options["schedule"];
  for (auto const& piece : o.schedule->pieces)
    if (piece.steps > 0)
      pieces += text(pieces.empty() ? "" : ", ", piece.steps, " steps from ", piece.from, " to ", piece.to,
                     " by shape ", static_cast<int>(piece.shape));
  return options;
}

/// Notices of options that earlier versions did not write.
///
/// errors   UsageError that lists the options that differ
[[nodiscard]] inline std::vector<std::string> expect_same_options(io::Metadata const& ours,
                                                                  io::Generation const& checkpoint) {
  std::vector<std::string> notices;
  std::string message;
  for (auto const& [name, value] : ours) {
    auto const theirs = checkpoint.notes().find(text(option_prefix, name));
    if (theirs != checkpoint.notes().end()) {
      if (theirs->second != value)
        message += text("\n  ", name, " is ", value, " here and ", theirs->second, " there");
    } else if (name == micro_rows_option || name == f8_option) {
      notices.push_back(text(checkpoint.path(), ": does not say its ", name, ", here ", value,
                             "; with another one this is not the run that was interrupted"));
    } else {
      message += text("\n  ", name, " is ", value, " here and not used there");
    }
  }
  for (auto const& [name, value] : checkpoint.notes())
    if (name.starts_with(option_prefix) && ours.count(name.substr(option_prefix.size())) == 0)
      message += text("\n  ", name.substr(option_prefix.size()), " is not used here and ", value, " there");
  expect<UsageError>(message.empty(), checkpoint.path(),
                     ": made with other training options; resume with the same ones, or start a new run in "
                     "another folder",
                     message);
  return notices;
}

/// Whether a rollback at this point may go to a checkpoint: of `at_most` that step, and not of a past that an earlier one
/// has left.
[[nodiscard, gnu::cold]] inline bool is_way_back(Monitor const* monitor, io::Manifest const& manifest,
                                                 std::uint64_t at_most) {
  if (manifest.step > at_most) return false;
  if (!monitor) return true;
  auto const text_of = [&](std::string_view name) -> std::string_view {
    auto const found = manifest.notes.find(name);
    return found == manifest.notes.end() ? std::string_view{} : found->second;
  };
  BatchId next;
  NumberReader{text_of("data.epoch")}(next.epoch);
  NumberReader{text_of("data.row")}(next.row);
  std::string_view const state = text_of(monitor_note);
  return state.empty() || !monitor->is_abandoned(state, next);
}

/// The moment buffers of a trainer and their names in a checkpoint.
template <class Model, class Optimizer>
[[nodiscard]] auto moments(Trainer<Model, Optimizer>& trainer) {
  using Moments = std::pair<char const*, VectorView<typename Model::PrecisionPolicy::Moment>>;
  std::vector<Moments> all{{first_moments, trainer.first_moments()}};
  if (Optimizer::moments > 1) all.push_back({second_moments, trainer.second_moments()});
  return all;
}

/// The tensor of a name among the optimizer's. Errors: IoError if there is none.
[[nodiscard]] inline io::TensorEntry const& moment(io::Generation const& checkpoint, std::string_view name) {
  for (io::TensorEntry const& tensor : checkpoint.tensors(optimizer_file))
    if (tensor.name == name) return tensor;
  throw IoError(text(checkpoint.path(), '/', optimizer_file, ": it has no tensor ", name,
                     "; this is no checkpoint of this optimizer"));
}

}  // namespace detail

/// A trainer's state, to be written; the tensors share the trainer's memory. Its score is the bits per byte of the
/// validation, if that was of this very step. What the trainer's monitor may roll back to stays.
template <class Model, class Optimizer>
[[nodiscard]] io::GenerationContent checkpoint_content(Trainer<Model, Optimizer>& trainer) {
  using Moment = typename Model::PrecisionPolicy::Moment;
  TrainerState const& state = trainer.state();
  io::GenerationContent content;
  content.step = static_cast<std::uint64_t>(state.step);
  if (trainer.monitor && trainer.monitor->may_roll_back())
    content.needed = [monitor = *trainer.monitor, next = state.step + 1](io::Manifest const& manifest) {
      return detail::is_way_back(&monitor, manifest,
                                 static_cast<std::uint64_t>(monitor.last_good_step(next)));
    };
  if (state.validated_step == state.step && state.step > 0) content.score = state.bits_per_byte;
  content.notes = {
      {"version", detail::library_version()},          {"total_steps", text(state.total_steps)},
      {"decay_begin", text(state.decay_begin)},        {"seconds", text(state.seconds)},
      {"bits_per_byte", text(state.bits_per_byte)},    {"validated_step", text(state.validated_step)},
      {"data.epoch", text(state.position.epoch)},      {"data.row", text(state.position.row)},
      {"data.fingerprint", text(state.position.data)}, {"data.order", text(state.position.order)}};
  if (state.skipped > 0) content.notes.emplace(detail::skipped_note, text(state.skipped));
  if (trainer.monitor) {
    content.notes.emplace(detail::monitor_note, trainer.monitor->state_text());
    content.notes.emplace(detail::recorded_note, text(trainer.monitor->recorded_until(0)));
  }
  for (auto& [name, value] : detail::run_options(trainer))
    content.notes.emplace(text(detail::option_prefix, name), value);
  io::GenerationFile model{model_file, weight_entries(trainer.model()), {{"format", "pt"}}};
  add_config_notes(model.metadata, Model::config);
  io::GenerationFile optimizer{optimizer_file};
  for (auto const& [name, values] : detail::moments(trainer))
    optimizer.tensors.push_back(io::tensor_entry<Moment>(name, {static_cast<std::uint64_t>(values.size)},
                                                         {values.data, to_size(values.size)}));
  content.files = {std::move(model), std::move(optimizer)};
  return content;
}

/// Writes a checkpoint of a trainer and returns when it is on the disk; `train::Saver` does it in the background.
///
/// errors   as io::GenerationWriter::write(); older checkpoints are intact then
template <class Model, class Optimizer>
io::WrittenGeneration save_checkpoint(Trainer<Model, Optimizer>& trainer, io::GenerationWriter& writer) {
  return writer.write(checkpoint_content(trainer));
}

/// Continues a run from a checkpoint; returns what the user should know of it.
///
/// errors   ConfigError if it is of another model, UsageError that names the options that differ, DataError if the data
///          do, IoError if it is no checkpoint of a run; the trainer keeps what it had
template <class Model, class Optimizer>
std::vector<std::string> resume(Trainer<Model, Optimizer>& trainer, io::Generation const& checkpoint) {
  std::string const& path = checkpoint.path();
  expect_same_config(checkpoint.metadata(model_file), Model::config, path);
  auto notices = detail::expect_same_options(detail::run_options(trainer), checkpoint);
  TrainerState state;
  state.step = static_cast<Index>(checkpoint.step());
  state.total_steps = detail::note<Index>(checkpoint, "total_steps");
  state.decay_begin = detail::note<Index>(checkpoint, "decay_begin");
  state.seconds = detail::note<double>(checkpoint, "seconds");
  state.bits_per_byte = detail::note<double>(checkpoint, "bits_per_byte");
  state.validated_step = detail::note<Index>(checkpoint, "validated_step");
  state.position = {detail::note<std::uint64_t>(checkpoint, "data.epoch"),
                    detail::note<Index>(checkpoint, "data.row"),
                    detail::note<std::uint64_t>(checkpoint, "data.fingerprint"),
                    detail::note<std::uint64_t>(checkpoint, "data.order")};
  if (checkpoint.notes().count(detail::skipped_note) > 0)
    state.skipped = detail::note<Index>(checkpoint, detail::skipped_note);
  expect<IoError>(state.step >= 0 && state.skipped >= 0 && state.skipped <= state.step &&
                      state.decay_begin >= 0 && state.decay_begin <= state.total_steps &&
                      state.seconds >= 0.0 && state.validated_step >= 0 && state.validated_step <= state.step,
                  path, ": step ", state.step, " after ", state.seconds, " s, decay from ", state.decay_begin,
                  " of ", state.total_steps, " steps, validated at ", state.validated_step,
                  " make no sense; the manifest was written by another program");
  auto const moments = detail::moments(trainer);
  for (auto const& [name, values] : moments) {
    io::TensorEntry const& tensor = detail::moment(checkpoint, name);
    // Not converted: a run that goes on from other moments is another run.
    constexpr io::DType dtype = io::dtype_of<typename Model::PrecisionPolicy::Moment>;
    expect<IoError>(tensor.dtype == dtype, path, '/', optimizer_file, ": ", name, " has type ",
                    io::name_of(tensor.dtype), ", moments of precision ", Model::PrecisionPolicy::name,
                    " are ", io::name_of(dtype),
                    "; go on with the version of aeth that wrote it, or start a new run from its weights");
    expect<IoError>(tensor.shape == io::TensorShape{static_cast<std::uint64_t>(values.size)}, path, ": ",
                    name, " does not have the model's ", values.size,
                    " elements; the file was written by another program");
  }
  notices.insert(notices.begin(), checkpoint.notices().begin(), checkpoint.notices().end());
  if (std::string const& version = detail::note_text(checkpoint, "version");
      version != detail::library_version())
    notices.push_back(text(path, ": made by version ", version, " of aeth, this is ",
                           detail::library_version(), "; results may differ from an uninterrupted run's"));
  auto const watched = checkpoint.notes().find(detail::monitor_note);
  bool const was_watched = watched != checkpoint.notes().end();
  if (trainer.monitor && was_watched) trainer.monitor->check(watched->second, path);
  if (trainer.monitor && !was_watched && state.step > 0)
    notices.push_back(text(path, ": made without a monitor; it watches from here on, as if the run began"));
  // Each of these leaves everything as it was if it throws; what follows cannot.
  trainer.check(state.position);
  assign_weights(trainer.model(), checkpoint.tensors(model_file), path);
  trainer.restore(state);
  for (auto const& [name, values] : moments)
    io::copy_values(detail::moment(checkpoint, name), 0, to_size(values.size), values.data);
  if (trainer.monitor)
    trainer.monitor->restore(was_watched ? watched->second : Monitor(trainer.monitor->options()).state_text(),
                             path);
  return notices;
}

/// The same from the newest good checkpoint of a folder. Errors: also IoError if there is none.
template <class Model, class Optimizer>
std::vector<std::string> resume(Trainer<Model, Optimizer>& trainer, std::string const& folder) {
  return resume(trainer, io::newest_generation(folder));
}

/// Only the weights of the newest good checkpoint, for inference; the moments are not read.
///
/// errors   IoError if no checkpoint is good, ConfigError if it is of another model; the model keeps what it had
template <class Model>
std::vector<std::string> load_checkpoint_weights(Model& model, std::string const& folder) {
  auto const checkpoint = io::newest_generation(folder, model_file);
  expect_same_config(checkpoint.metadata(model_file), Model::config, checkpoint.path());
  assign_weights(model, checkpoint.tensors(model_file), checkpoint.path());
  return checkpoint.notices();
}

}  // namespace aeth::train
