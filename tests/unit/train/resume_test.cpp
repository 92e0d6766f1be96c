// A run that is stopped and resumed equals an uninterrupted one byte for byte, and what does not fit is
// refused.
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "aeth/optim/muon.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/train/checkpoint.hpp"
#include "support/catch.hpp"
#include "support/small_text.hpp"
#include "support/temporary_folder.hpp"
#include "support/tiny_run.hpp"

namespace {

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using test::SmallText, test::small_text, test::TinyRun, test::same, test::message_of, test::TemporaryFolder;

train::TrainerOptions options() {
  return test::tiny_options();
}

/// Has the types of a policy of the library, but not of that name.
struct Named : Bf16 {
  using Weight = float;
  using WideWeight = float;
  using Activation = float;
  using Kept = float;
};

/// Saves into a folder and gives up its lock.
template <class Run>
io::WrittenGeneration save(Run& run, std::string const& folder) {
  io::GenerationWriter writer(folder);
  return train::save_checkpoint(run.trainer, writer);
}

}  // namespace

TEST_CASE("training: resumed equals uninterrupted, whatever the threads and micro-batches") {
  SmallText const text = small_text(1);
  TinyRun whole(text, options());
  whole.trainer.run();
  test::RunOutcome const expected = whole.outcome();
  REQUIRE(expected.losses.size() == 24);
  CHECK(expected.losses.back() < 0.8 * expected.losses.front());

  TemporaryFolder const folder;
  TinyRun first(text, options(), 1);
  for (int i = 0; i < 9; ++i) (void)first.trainer.step();
  save(first, folder.path);
  (void)first.trainer.step();  // lost work: the checkpoint does not know of it

  train::TrainerOptions again = options();
  again.micro_rows = 1;
  TinyRun second(text, again, 3);
  CHECK(train::resume(second.trainer, folder.path).empty());
  CHECK(second.trainer.state().step == 9);
  second.trainer.run();
  test::RunOutcome const resumed = second.outcome();
  CHECK(same(resumed.weights, expected.weights));
  CHECK(same(resumed.first, expected.first));
  CHECK(same(resumed.second, expected.second));
  CHECK(same(resumed.biases, expected.biases));
  CHECK(resumed.state.position == expected.state.position);
  CHECK(resumed.state.step == expected.state.step);
  REQUIRE(resumed.losses.size() == 15);
  for (std::size_t i = 0; i < 15; ++i) CHECK(resumed.losses[i] == expected.losses[i + 9]);
}

TEST_CASE("training: equal states have equal files, whatever the threads") {
  SmallText const text = small_text(1);
  TemporaryFolder const folder;
  for (int const threads : {1, 3}) {
    TinyRun run(text, options(), threads);
    for (int i = 0; i < 4; ++i) (void)run.trainer.step();
    save(run, folder.path + std::to_string(threads));
  }
  for (char const* const file :
       {"/step-000000004/model.safetensors", "/step-000000004/optimizer.safetensors"})
    CHECK(io::read_file(folder.path + "1" + file) == io::read_file(folder.path + "3" + file));
  for (char const* const threads : {"1", "3"}) std::filesystem::remove_all(folder.path + threads);
}

TEST_CASE("training: the weights of a checkpoint are a file of their own") {
  SmallText const text = small_text(1);
  TemporaryFolder const folder;
  TinyRun run(text, options());
  (void)run.trainer.step();
  auto const done = save(run, folder.path);
  Cpu cpu(1);
  test::TinyModel model(cpu), other(cpu);
  load_weights(model, done.path + "/" + train::model_file);
  CHECK(same(run.outcome().weights, {model.weights().begin(), model.weights().end()}));
  // Inference does without the moments.
  std::filesystem::remove(done.path + "/" + train::optimizer_file);
  CHECK(train::load_checkpoint_weights(other, folder.path).empty());
  CHECK(same(run.outcome().weights, {other.weights().begin(), other.weights().end()}));
  CHECK_THROWS_AS(train::resume(run.trainer, folder.path), IoError);
}

TEST_CASE(
    "row 45: another precision, batch, seed or optimizer is refused by its name; threads and parts are not") {
  SmallText const text = small_text(1);
  TemporaryFolder const folder;
  TinyRun saved(text, options());
  (void)saved.trainer.step();
  save(saved, folder.path);
  auto const refused = [&](auto change, std::string const& message) {
    train::TrainerOptions other = options();
    change(other);
    TinyRun run(text, other);
    CHECK_THAT(message_of<UsageError>([&] { (void)train::resume(run.trainer, folder.path); }),
               ContainsSubstring("made with other training options") && ContainsSubstring(message));
    CHECK(run.trainer.state().step == 0);
  };
  refused([](auto& o) { o.batch_rows = 4; }, "\n  batch_rows is 4 here and 3 there");
  refused([](auto& o) { o.length = 16; }, "\n  length is 16 here and 32 there");
  refused([](auto& o) { o.seed = 5; }, "\n  seed is 5 here and 0 there");
  refused([](auto& o) { o.learning_rate *= 2; }, "\n  learning_rate is 0.006 here and 0.003 there");
  refused([](auto& o) { o.loss.mtp_weight = 0; }, "\n  loss.mtp_weight is 0 here and 0.3 there");
  refused(
      [](auto& o) {
        o.schedule =
            optim::cosine_schedule({.peak = 0.5, .floor = 0.01, .warmup_steps = 4, .total_steps = 24});
      },
      "\n  learning_rate is not used here and 0.003 there");
  TinyRun other_optimizer(text, options(), 2, optim::Sgd());
  CHECK_THAT(message_of<UsageError>([&] { (void)train::resume(other_optimizer.trainer, folder.path); }),
             ContainsSubstring("\n  optimizer is SGD") && ContainsSubstring("AdamW"));

  Cpu cpu(2);
  Model<presets::tiny, Bf16> model(cpu);
  model.initialize(4);
  train::Trainer precise(model, {text.training, text.validation, text.validation_bytes, 0}, options());
  CHECK_THAT(message_of<UsageError>([&] { (void)train::resume(precise, folder.path); }),
             ContainsSubstring("\n  precision is bf16 here and fp32 there"));

  struct Like : Fp32 {
    using Moment = bf16;
  };
  Model<presets::tiny, Like> derived(cpu);
  derived.initialize(4);
  train::Trainer like(derived, {text.training, text.validation, text.validation_bytes, 0}, options());
  CHECK_THAT(message_of<UsageError>([&] { (void)train::resume(like, folder.path); }),
             ContainsSubstring("\n  precision is fp32 with masters in F32, moments in BF16, weights in F32"));

  CHECK_THAT(train::detail::precision_text<Named>(), ContainsSubstring("bf16 with masters in F32"));

  train::TrainerOptions parts = options();
  parts.micro_rows = 1;
  TinyRun allowed(text, parts, 1);
  CHECK(train::resume(allowed.trainer, folder.path).empty());
}

TEST_CASE("row 45: in FP8 another arithmetic is refused by its name, and so are other parts of a batch") {
  SmallText const text = small_text(1);
  TemporaryFolder const folder;
  auto const with_fp8 = [&]<class P>(P, train::TrainerOptions const& o, F8Arithmetic const& f8, auto body) {
    Cpu cpu(2);
    cpu.set_f8_arithmetic(f8);
    Model<presets::tiny, P> model(cpu);
    model.initialize(4);
    train::Trainer trainer(model, {text.training, text.validation, text.validation_bytes, 0}, o);
    body(trainer);
  };
  auto const resumed = [&](auto& trainer) { return train::resume(trainer, folder.path); };
  auto const refused = [&](std::string const& message) {
    return [&, message](auto& trainer) {
      CHECK_THAT(message_of<UsageError>([&] { (void)resumed(trainer); }), ContainsSubstring(message));
    };
  };
  with_fp8(Fp8(), options(), {}, [&](auto& trainer) {
    (void)trainer.step();
    io::GenerationWriter writer(folder.path);
    (void)train::save_checkpoint(trainer, writer);
  });
  with_fp8(Fp8(), options(), {}, [&](auto& trainer) { CHECK(resumed(trainer).empty()); });
  train::TrainerOptions parts = options();
  parts.micro_rows = parts.batch_rows;  // all at once, as 0 is
  with_fp8(Fp8(), parts, {}, [&](auto& trainer) { CHECK(resumed(trainer).empty()); });
  parts.micro_rows = 1;
  with_fp8(Fp8(), parts, {}, refused("\n  micro_rows is 1 here and 3 there"));
  with_fp8(Fp8(), options(), {.scales = ScaleForm::power_of_two},
           refused("\n  f8_arithmetic is power of two scales, 24 bits here and any scales, 24 bits there"));
  with_fp8(Fp8(), options(), {.square_tiles = true, .accumulator_bits = 14, .promote = false},
           refused("\n  f8_arithmetic is any scales, square tiles, a tensor core's sums of 14 bits, not "
                   "promoted here"));
  with_fp8(Fp8(), options(), {.promote = false}, [&](auto& trainer) {
    CHECK(resumed(trainer).empty());  // sums of 24 bits are the same either way
    // As earlier versions wrote it.
    io::GenerationContent content = train::checkpoint_content(trainer);
    for (char const* const option : {"option.micro_rows", "option.f8_arithmetic"})
      content.notes.erase(option);
    io::GenerationWriter writer(folder.path);
    writer.write(content);
    auto const notices = train::resume(trainer, writer.newest());
    REQUIRE(notices.size() == 2);
    CHECK_THAT(notices[0], ContainsSubstring("does not say its f8_arithmetic, here any scales, 24 bits"));
    CHECK_THAT(notices[1], ContainsSubstring("does not say its micro_rows, here 3"));
  });
  struct WideKept : Fp8 {
    using Kept = bf16;
  };
  with_fp8(WideKept(), options(), {},
           refused("\n  precision is fp8 with masters in F32, moments in BF16, weights in F8_E4M3"));
}

TEST_CASE("training: data that make no sense are refused when the trainer is made") {
  SmallText const text = small_text(1);
  Cpu cpu(1);
  test::TinyModel model(cpu);
  auto const message = [&](train::TrainingData const& data, train::TrainerOptions const& o = options()) {
    return message_of<Error>([&] { train::Trainer(model, data, o); });
  };
  data::TokenCorpus open = text.training;
  open.begins = {0};
  for (auto const& data : {train::TrainingData{open, text.validation}, {text.training, open}})
    CHECK_THAT(message(data), ContainsSubstring("call end_document()"));
  open.begins = {0, 5, 3, open.size()};
  CHECK_THAT(message({open, text.validation}), ContainsSubstring("call end_document()"));
  open.begins = {0, open.size() + 100};
  CHECK_THAT(message({text.training, open}), ContainsSubstring("call end_document()"));
  for (std::int32_t const filler : {-1, 99999})
    CHECK_THAT(message({text.training, text.validation, 0, filler}),
               ContainsSubstring("TrainingData::filler is " + std::to_string(filler)));
  CHECK_THAT(message({text.training, text.validation, -7, 0}),
             ContainsSubstring("TrainingData::validation_bytes is -7"));
  train::TrainerOptions o = options();
  o.save_every = -1;
  CHECK_THAT(message({text.training, text.validation}, o),
             ContainsSubstring("TrainerOptions::save_every is -1"));
  o = options();
  o.batch_rows = Index{1} << 62;
  CHECK_THAT(message({text.training, text.validation}, o),
             ContainsSubstring("a batch has at most 2147483647 tokens"));
}

TEST_CASE("training: other text is refused, sealed or not") {
  SmallText text = small_text(1);
  TemporaryFolder const folder;
  text.training.fingerprint = 0;
  TinyRun run(text, options());
  save(run, folder.path);
  SmallText other = text;
  other.training.tokens[7] ^= 1;
  TinyRun changed(other, options()), same_text(text, options());
  CHECK_THROWS_AS(train::resume(changed.trainer, folder.path), DataError);
  CHECK(train::resume(same_text.trainer, folder.path).empty());
  // As earlier versions saved it.
  data::LoaderPosition position = same_text.trainer.state().position;
  CHECK(position.data != 0);
  position.data = 0;
  same_text.trainer.check(position);
}

TEST_CASE("training: other data and a damaged checkpoint are refused, and nothing is lost") {
  SmallText const text = small_text(1);
  TemporaryFolder const folder, empty;
  TinyRun run(text, options());
  for (int i = 0; i < 2; ++i) (void)run.trainer.step();
  save(run, folder.path);
  (void)run.trainer.step();
  auto const newest = save(run, folder.path);

  SmallText const other_text = small_text(2);
  TinyRun moved(other_text, options());
  CHECK_THROWS_AS(train::resume(moved.trainer, folder.path), DataError);

  std::string const moments = newest.path + "/optimizer.safetensors";
  std::filesystem::resize_file(moments, std::filesystem::file_size(moments) - 100);
  TinyRun fallen_back(text, options());
  auto const notices = train::resume(fallen_back.trainer, folder.path);
  REQUIRE(notices.size() == 2);
  CHECK_THAT(notices[0], ContainsSubstring(moments + ": it has"));
  CHECK_THAT(notices[1], ContainsSubstring("step-000000002', step 2"));
  CHECK(fallen_back.trainer.state().step == 2);

  CHECK_THROWS_AS(train::resume(fallen_back.trainer, empty.path), IoError);
}

TEST_CASE("training: notes and moments that make no sense are refused before anything changes") {
  SmallText const text = small_text(1);
  TinyRun saved(text, options());
  (void)saved.trainer.step();
  auto const resumed_with = [&](auto change) {
    TemporaryFolder const folder;
    io::GenerationContent content = train::checkpoint_content(saved.trainer);
    change(content);
    io::GenerationWriter writer(folder.path);
    writer.write(content);
    TinyRun run(text, options());
    auto const before = run.outcome();
    std::string message;
    try {
      for (auto const& notice : train::resume(run.trainer, writer.newest())) message += notice;
    } catch (IoError const& error) {
      message = error.what();
      auto const after = run.outcome();
      CHECK(same(after.weights, before.weights));
      CHECK(same(after.first, before.first));
      CHECK(same(after.second, before.second));
      CHECK(after.state.step == 0);
    }
    return message;
  };
  CHECK(resumed_with([](auto&) {}).empty());
  CHECK_THAT(resumed_with([](auto& c) { c.step = ~std::uint64_t{0}; }), ContainsSubstring("make no sense"));
  CHECK_THAT(resumed_with([](auto& c) { c.notes["decay_begin"] = "-5"; }),
             ContainsSubstring("make no sense"));
  CHECK_THAT(resumed_with([](auto& c) { c.notes["decay_begin"] = "1000"; }),
             ContainsSubstring("make no sense"));
  CHECK_THAT(resumed_with([](auto& c) { c.notes["seconds"] = "nan"; }), ContainsSubstring("make no sense"));
  CHECK_THAT(resumed_with([](auto& c) { c.notes["validated_step"] = "2"; }),
             ContainsSubstring("make no sense"));
  CHECK_THAT(resumed_with([](auto& c) { c.notes["seconds"] = "soon"; }),
             ContainsSubstring("the note seconds is 'soon', which is no number"));
  CHECK_THAT(resumed_with([](auto& c) { c.notes.erase("data.row"); }),
             ContainsSubstring("data.row is missing"));
  CHECK_THAT(resumed_with([](auto& c) { c.files.pop_back(); }),
             ContainsSubstring("no file 'optimizer.safetensors'"));
  CHECK_THAT(resumed_with([](auto& c) { c.files[1].tensors.pop_back(); }),
             ContainsSubstring("no tensor optimizer.second"));
  CHECK_THAT(resumed_with([](auto& c) { c.files[0].tensors.pop_back(); }), ContainsSubstring("missing"));
  std::vector<std::int32_t> const whole_numbers(to_size(saved.model.weights().size));
  CHECK_THAT(
      resumed_with([&](auto& c) {
        auto& t = c.files[1].tensors[1];
        t = io::tensor_entry<std::int32_t>(t.name, t.shape, {whole_numbers.data(), whole_numbers.size()});
      }),
      ContainsSubstring(
          "optimizer.safetensors: optimizer.second has type I32, moments of precision fp32 are F32"));
  // Another version of the library is no reason to refuse, but one to tell.
  CHECK_THAT(resumed_with([](auto& c) { c.notes["version"] = "0.0.9"; }),
             ContainsSubstring("made by version 0.0.9 of aeth"));
}

TEST_CASE(
    "training: moments in BF16 are saved as they are and resumed exactly; those of another type are "
    "refused") {
  SmallText const text = small_text(1);
  using NarrowModel = Model<presets::tiny, Fp8>;
  struct Run {
    Cpu cpu;
    NarrowModel model;
    train::Trainer<NarrowModel> trainer;
    Run(SmallText const& text, int threads)
        : cpu(threads),
          model(cpu),
          trainer((model.initialize(4), model), {text.training, text.validation, text.validation_bytes, 0},
                  options()) {}
    void steps(int count) {
      for (int i = 0; i < count; ++i) (void)trainer.step();
    }
    std::string moments() {
      std::string bytes;
      for (auto const view : {trainer.first_moments(), trainer.second_moments()})
        for (bf16 const m : view) bytes += {static_cast<char>(m.bits & 0xFF), static_cast<char>(m.bits >> 8)};
      return bytes;
    }
  };
  auto const weights = [](Run& run) {
    return std::vector<float>(run.model.weights().begin(), run.model.weights().end());
  };
  TemporaryFolder const folder;
  io::GenerationWriter writer(folder.path);
  Run whole(text, 1), second(text, 3);
  whole.steps(4);
  io::GenerationContent content = train::checkpoint_content(whole.trainer);
  for (io::TensorEntry const& tensor : content.files[1].tensors) CHECK(tensor.dtype == io::DType::bf16);
  writer.write(content);
  CHECK(train::resume(second.trainer, writer.newest()).empty());
  CHECK(second.moments() == whole.moments());

  // As an earlier version of the library kept them.
  std::vector<float> const wide(to_size(whole.model.weights().size));
  for (auto& tensor : content.files[1].tensors)
    tensor = io::tensor_entry<float>(tensor.name, tensor.shape, {wide.data(), wide.size()});
  content.step += 1;
  writer.write(content);
  CHECK_THAT(message_of<IoError>([&] { (void)train::resume(second.trainer, writer.newest()); }),
             ContainsSubstring("optimizer.first has type F32, moments of precision fp8 are BF16"));
  CHECK(second.moments() == whole.moments());

  whole.steps(4);
  second.steps(4);
  CHECK(same(weights(second), weights(whole)));
  CHECK(second.moments() == whole.moments());
}

TEST_CASE("row 46: runs longer than 2^31 steps are saved and resumed") {
  SmallText const text = small_text(1);
  TemporaryFolder const folder;
  TinyRun run(text, options());
  (void)run.trainer.step();
  train::TrainerState state = run.trainer.state();
  state.step = (Index{1} << 31) + 5;
  state.total_steps = Index{1} << 40;
  run.trainer.restore(state);
  (void)run.trainer.step();
  CHECK(save(run, folder.path).path == folder.path + "/step-2147483654");
  TinyRun again(text, options());
  CHECK(train::resume(again.trainer, folder.path).empty());
  CHECK(again.trainer.state().step == (Index{1} << 31) + 6);
  CHECK(again.trainer.state().total_steps == Index{1} << 40);
}

TEST_CASE("training: SGD and a schedule of one's own train, and resume exactly") {
  SmallText const text = small_text(1);
  train::TrainerOptions o = options();
  o.schedule = optim::cosine_schedule({.peak = 0.5, .floor = 0.01, .warmup_steps = 4, .total_steps = 24});
  optim::Sgd const sgd({.momentum = 0.8});
  TinyRun whole(text, o, 2, sgd);
  auto const& schedule = *o.schedule;
  TemporaryFolder const folder;
  for (Index i = 0; i < 24; ++i) {
    CHECK(whole.trainer.step().rate == schedule.at(i));
    if (i == 9) save(whole, folder.path);
  }
  test::RunOutcome const expected = whole.outcome();
  CHECK(expected.second.empty());

  TinyRun second(text, o, 3, sgd);
  CHECK(train::resume(second.trainer, folder.path).empty());
  CHECK(second.trainer.state().step == 10);
  double first_loss = 0, last_loss = 0;
  for (Index i = 10; i < 24; ++i) (i == 10 ? first_loss : last_loss) = second.trainer.step().loss.main;
  CHECK(last_loss < first_loss);
  CHECK(same(second.outcome().weights, expected.weights));
  CHECK(same(second.outcome().first, expected.first));

  TinyRun other_momentum(text, o, 2, optim::Sgd({.momentum = 0.9}));
  CHECK_THROWS_AS(train::resume(other_momentum.trainer, folder.path), UsageError);
  TinyRun other_optimizer(text, o);
  CHECK_THROWS_AS(train::resume(other_optimizer.trainer, folder.path), UsageError);
  o.schedule->pieces[0].to *= 2;
  TinyRun other_schedule(text, o, 2, sgd);
  CHECK_THROWS_AS(train::resume(other_schedule.trainer, folder.path), UsageError);
}

TEST_CASE("training: Muon trains, and resumes exactly, whatever the threads and micro-batches") {
  SmallText const text = small_text(1);
  TemporaryFolder const folder;
  TinyRun whole(text, options(), 2, optim::Muon());
  for (int i = 0; i < 9; ++i) (void)whole.trainer.step();
  save(whole, folder.path);
  whole.trainer.run();
  test::RunOutcome const expected = whole.outcome();
  REQUIRE(expected.losses.size() == 15);
  CHECK(expected.losses.back() < 0.9 * expected.losses.front());

  train::TrainerOptions again = options();
  again.micro_rows = 1;
  TinyRun second(text, again, 3, optim::Muon());
  CHECK(train::resume(second.trainer, folder.path).empty());
  CHECK(second.trainer.state().step == 9);
  second.trainer.run();
  test::RunOutcome const resumed = second.outcome();
  CHECK(same(resumed.weights, expected.weights));
  CHECK(same(resumed.first, expected.first));
  CHECK(same(resumed.second, expected.second));
  CHECK(resumed.losses == expected.losses);

  TinyRun other_scale(text, options(), 2, optim::Muon({.update_rms = 0.1}));
  CHECK_THAT(message_of<UsageError>([&] { (void)train::resume(other_scale.trainer, folder.path); }),
             ContainsSubstring("optimizer is Muon, Nesterov momentum 0.95, update RMS 0.1") &&
                 ContainsSubstring("update RMS 0.2"));
}

TEST_CASE("training: a loss that is not finite stops the run before anything is applied") {
  SmallText const text = small_text(1);
  TinyRun run(text, options());
  (void)run.trainer.step();
  for (ParameterInfo const& p : run.model.parameters())
    if (p.name == "model.norm.weight")
      run.model.weights()[p.offset] = std::numeric_limits<float>::quiet_NaN();
  run.model.prepare();
  auto const before = run.outcome();
  CHECK_THROWS_WITH(run.trainer.step(), Catch::Matchers::ContainsSubstring("step 2") &&
                                            Catch::Matchers::ContainsSubstring("model.norm.weight"));
  CHECK(run.trainer.state().step == 1);
  CHECK(same(run.outcome().first, before.first));
  CHECK(same(run.outcome().weights, before.weights));
}

TEST_CASE("training: options outside their range are refused by name") {
  SmallText const text = small_text(1);
  auto const refused = [&](auto change, char const* name) {
    train::TrainerOptions o = options();
    change(o);
    CHECK_THROWS_AS(train::validate(o), UsageError);
    try {
      train::validate(o);
    } catch (UsageError const& error) {
      CHECK(std::string(error.what()).find(name) != std::string::npos);
    }
  };
  refused([](auto& o) { o.learning_rate = std::nan(""); }, "learning_rate");
  refused([](auto& o) { o.learning_rate = 0; }, "learning_rate");
  refused([](auto& o) { o.batch_rows = 0; }, "batch_rows");
  refused([](auto& o) { o.length = -1; }, "length");
  refused([](auto& o) { o.final_rate = 2; }, "final_rate");
  refused([](auto& o) { o.steps = 0, o.minutes = 0; }, "minutes");
  auto const with_piece = [](auto& o, optim::SchedulePiece const& piece) {
    o.schedule = optim::Schedule{};
    o.schedule->pieces[0] = {10, 0.0, 1e-3, RateShape::linear};
    o.schedule->pieces[1] = piece;
  };
  refused([&](auto& o) { with_piece(o, {}), o.steps = 0; }, "schedule");
  refused([](auto& o) { o.schedule = optim::Schedule{}; }, "schedule");
  refused([&](auto& o) { with_piece(o, {-1, 0.0, 0.0, RateShape::linear}); }, "SchedulePiece::steps");
  refused([&](auto& o) { with_piece(o, {1, std::nan(""), 0.0, RateShape::linear}); }, "SchedulePiece::from");
  refused([&](auto& o) { with_piece(o, {1, 0.0, -1e-3, RateShape::linear}); }, "SchedulePiece::to");
  refused([](auto& o) { o.loss.mtp_weight = -1; }, "mtp_weight");
  refused([](auto& o) { o.loss.mtp_weight = -1; }, "TrainerOptions::loss");
}
