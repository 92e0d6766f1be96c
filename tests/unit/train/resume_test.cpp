// A run that is stopped and resumed equals an uninterrupted one byte for byte, and what does not fit is
// refused.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "aeth/backend/cpu.hpp"
#include "aeth/config/presets.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/optim/sgd.hpp"
#include "aeth/train/checkpoint.hpp"
#include "support/catch.hpp"

namespace {

using namespace aeth;
using TestModel = Model<presets::tiny, Fp32>;

/// Text with structure enough to learn from, and a tokenizer for it.
struct Text {
  data::Tokenizer tokenizer;
  data::TokenCorpus training, validation;
  Index validation_bytes;
};

Text make_text(std::uint64_t seed) {
  Random random(seed, RandomUse::test);
  std::vector<data::Document> documents;
  data::BpeTrainer counts;
  for (int d = 0; d < 12; ++d) {
    std::string body;
    for (int i = 0; i < 60; ++i)
      body += text("value ", random.below(20), " plus ", random.below(20), " is a sum\n");
    counts.add(body);
    documents.push_back({text("document ", d), body});
  }
  auto tokenizer = counts.train({.vocab_size = 320});
  std::vector<data::Document> const held{documents.back()};
  documents.pop_back();
  auto training = data::pack(documents, tokenizer);
  auto validation = data::pack(held, tokenizer);
  return {std::move(tokenizer), std::move(training), std::move(validation),
          static_cast<Index>(held[0].text.size())};
}

/// Everything a run leaves behind.
struct Outcome {
  std::vector<float> weights, first, second, biases;
  std::vector<double> losses;
  train::TrainerState state;
};

template <class Optimizer = optim::AdamW>
struct Run {
  Cpu cpu;
  TestModel model;
  std::vector<double> losses;
  train::Trainer<TestModel, Optimizer> trainer;

  Run(Text const& text, train::TrainerOptions options, int threads = 2,
      Optimizer const& optimizer = Optimizer())
      : cpu(threads),
        model(cpu),
        trainer((model.initialize(4), model), {text.training, text.validation, text.validation_bytes, 0},
                with_report(options), optimizer) {}

  train::TrainerOptions with_report(train::TrainerOptions options) {
    options.report = [this](train::Progress const& p) { losses.push_back(p.loss.main + p.bits_per_byte); };
    return options;
  }

  Outcome outcome() {
    auto const copy = [](auto view) { return std::vector<float>(view.begin(), view.end()); };
    auto const biases = model.biases();
    return {copy(model.weights()),
            copy(trainer.first_moments()),
            copy(trainer.second_moments()),
            std::vector<float>(biases.data, biases.data + biases.rows * biases.cols),
            losses,
            trainer.state()};
  }
};

bool same(std::vector<float> const& a, std::vector<float> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

train::TrainerOptions options() {
  train::TrainerOptions o;
  o.batch_rows = 3;
  o.length = 32;
  o.steps = 24;
  o.warmup_steps = 4;
  o.validate_every = 5;
  o.validation_batches = 2;
  o.loss.balance_weight = 1e-3;
  return o;
}

std::string fresh_folder(char const* name) {
  auto const path = std::filesystem::temp_directory_path() / "aeth_resume_test" / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path.string();
}

}  // namespace

TEST_CASE("training: resumed equals uninterrupted, whatever the threads and micro-batches") {
  Text const text = make_text(1);
  Run whole(text, options());
  whole.trainer.run();
  Outcome const expected = whole.outcome();
  REQUIRE(expected.losses.size() == 24);
  CHECK(expected.losses.back() < 0.8 * expected.losses.front());

  std::string const folder = fresh_folder("resume");
  Run first(text, options(), 1);
  for (int i = 0; i < 9; ++i) (void)first.trainer.step();
  train::save_checkpoint(first.trainer, folder);
  (void)first.trainer.step();  // lost work: the checkpoint does not know of it

  train::TrainerOptions again = options();
  again.micro_rows = 1;
  Run second(text, again, 3);
  CHECK(train::resume(second.trainer, folder).empty());
  CHECK(second.trainer.state().step == 9);
  second.trainer.run();
  Outcome const resumed = second.outcome();
  CHECK(same(resumed.weights, expected.weights));
  CHECK(same(resumed.first, expected.first));
  CHECK(same(resumed.second, expected.second));
  CHECK(same(resumed.biases, expected.biases));
  CHECK(resumed.state.position == expected.state.position);
  CHECK(resumed.state.step == expected.state.step);
  REQUIRE(resumed.losses.size() == 15);
  for (std::size_t i = 1; i < 15; ++i)
    if (i >= 6)
      CHECK(resumed.losses[i] == expected.losses[i + 9]);  // from the first validation after the resume on
}

TEST_CASE("training: other options, other data and a damaged checkpoint are refused, and nothing is lost") {
  Text const text = make_text(1);
  std::string const folder = fresh_folder("refuse");
  Run run(text, options());
  for (int i = 0; i < 2; ++i) (void)run.trainer.step();
  train::save_checkpoint(run.trainer, folder);
  (void)run.trainer.step();
  auto const newest = train::save_checkpoint(run.trainer, folder);

  train::TrainerOptions other = options();
  other.learning_rate *= 2;
  Run different(text, other);
  CHECK_THROWS_AS(train::resume(different.trainer, folder), UsageError);
  Text const other_text = make_text(2);
  Run moved(other_text, options());
  CHECK_THROWS_AS(train::resume(moved.trainer, folder), DataError);

  std::filesystem::resize_file(newest.path, std::filesystem::file_size(newest.path) - 100);
  Run fallen_back(text, options());
  auto const notices = train::resume(fallen_back.trainer, folder);
  CHECK_FALSE(notices.empty());
  CHECK(fallen_back.trainer.state().step == 2);

  CHECK_THROWS_AS(train::resume(fallen_back.trainer, fresh_folder("empty")), IoError);
}

TEST_CASE("training: notes and moments that make no sense are refused before anything changes") {
  Text const text = make_text(1);
  std::string const folder = fresh_folder("notes");
  Run saved(text, options());
  (void)saved.trainer.step();
  train::save_checkpoint(saved.trainer, folder);
  auto const good = io::CheckpointReader::latest(folder);
  auto const refused = [&](std::uint64_t step, auto change) {
    io::Metadata notes = good.metadata();
    notes.erase("aeth.checkpoint");  // the writer's own
    notes.erase("aeth.step");
    std::vector<io::TensorEntry> tensors(good.tensors().begin(), good.tensors().end());
    change(notes, tensors);
    std::string const other = fresh_folder("notes_changed");
    (void)io::CheckpointWriter(other).write(step, tensors, notes);
    Run run(text, options());
    auto const before = run.outcome();
    CHECK_THROWS_AS(train::resume(run.trainer, other), IoError);
    auto const after = run.outcome();
    CHECK(same(after.weights, before.weights));
    CHECK(same(after.first, before.first));
    CHECK(same(after.second, before.second));
    CHECK(after.state.step == 0);
  };
  refused(~std::uint64_t{0}, [](auto&, auto&) {});
  refused(1, [](auto& notes, auto&) { notes["aeth.decay_begin"] = "-5"; });
  refused(1, [](auto& notes, auto&) { notes["aeth.decay_begin"] = "1000"; });
  refused(1, [](auto& notes, auto&) { notes["aeth.seconds"] = "soon"; });
  refused(1, [](auto& notes, auto&) { notes.erase("aeth.data.row"); });
  std::vector<std::int32_t> const whole_numbers(to_size(saved.model.weights().size));
  refused(1, [&](auto&, auto& tensors) {
    for (auto& t : tensors)
      if (t.name == "optimizer.second")
        t = io::tensor_entry<std::int32_t>(t.name, t.shape, {whole_numbers.data(), whole_numbers.size()});
  });
  Run run(text, options());
  CHECK(train::resume(run.trainer, folder).empty());  // the unchanged one is fine
}

TEST_CASE("training: SGD and a schedule of one's own train, and resume exactly") {
  Text const text = make_text(1);
  train::TrainerOptions o = options();
  o.schedule = optim::cosine_schedule({.peak = 0.5, .floor = 0.01, .warmup_steps = 4, .total_steps = 24});
  optim::Sgd const sgd({.momentum = 0.8});
  Run whole(text, o, 2, sgd);
  auto const& schedule = *o.schedule;
  for (Index i = 0; i < 24; ++i) {
    CHECK(whole.trainer.step().rate == schedule.at(i));
    if (i == 9) train::save_checkpoint(whole.trainer, fresh_folder("sgd"));
  }
  Outcome const expected = whole.outcome();
  CHECK(expected.second.empty());
  std::string const folder = (std::filesystem::temp_directory_path() / "aeth_resume_test" / "sgd").string();

  Run second(text, o, 3, sgd);
  CHECK(train::resume(second.trainer, folder).empty());
  CHECK(second.trainer.state().step == 10);
  double first_loss = 0, last_loss = 0;
  for (Index i = 10; i < 24; ++i) (i == 10 ? first_loss : last_loss) = second.trainer.step().loss.main;
  CHECK(last_loss < first_loss);
  CHECK(same(second.outcome().weights, expected.weights));
  CHECK(same(second.outcome().first, expected.first));

  Run other_momentum(text, o, 2, optim::Sgd({.momentum = 0.9}));
  CHECK_THROWS_AS(train::resume(other_momentum.trainer, folder), UsageError);
  Run other_optimizer(text, o);
  CHECK_THROWS_AS(train::resume(other_optimizer.trainer, folder), UsageError);
  o.schedule->pieces[0].to *= 2;
  Run other_schedule(text, o, 2, sgd);
  CHECK_THROWS_AS(train::resume(other_schedule.trainer, folder), UsageError);
}

TEST_CASE("training: a loss that is not finite stops the run before anything is applied") {
  Text const text = make_text(1);
  Run run(text, options());
  (void)run.trainer.step();
  for (ParameterInfo const& p : run.model.parameters())
    if (p.name == "model.norm.weight")
      run.model.weights()[p.offset] = std::numeric_limits<float>::quiet_NaN();
  run.model.prepare();
  auto const before = run.outcome();
  CHECK_THROWS_WITH(run.trainer.step(), Catch::Matchers::ContainsSubstring("step 2") &&
                                            Catch::Matchers::ContainsSubstring("model.embed_tokens.weight"));
  CHECK(run.trainer.state().step == 1);
  CHECK(same(run.outcome().first, before.first));
  CHECK(same(run.outcome().weights, before.weights));
}

TEST_CASE("training: options outside their range are refused by name") {
  Text const text = make_text(1);
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
