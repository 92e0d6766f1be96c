// Schedules: the published bubbles against hand-worked cases and against schedules played through chunk by
// chunk.
#include "aeth/config/pipeline_schedule.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "support/catch.hpp"

using namespace aeth;

namespace {

/// A forward chunk, a backward chunk (whole, or of inputs alone), or the oldest backward of weights that is
/// left. direction: 0 from the first device to the last, 1 the other way round.
struct Chunk {
  enum Kind { forward, backward, inputs, weights } kind;
  int direction;
};

/// What a device does at once: one chunk, or two that overlap.
using Action = std::vector<Chunk>;
using Program = std::vector<Action>;

/// Plays the programs of all devices through: an action starts when its device is free and what it needs is
/// there. Returns when the last ends.
double play(std::vector<Program> const& programs, ChunkTimes const& t) {
  int const devices = static_cast<int>(programs.size());
  using Key = std::array<int, 3>;  // device, direction, micro-batch
  std::map<Key, double> forward_done, backward_done;
  std::vector<std::size_t> at(programs.size());
  std::vector<double> now(programs.size());
  std::vector<std::array<int, 4>> count(programs.size());  // of forward and backward chunks by direction
  for (bool moved = true; moved;) {
    moved = false;
    for (int device = 0; device < devices; ++device) {
      auto const d = static_cast<std::size_t>(device);
      for (; at[d] < programs[d].size(); ++at[d], moved = true) {
        Action const& action = programs[d][at[d]];
        double start = now[d], seconds = 0.0;
        bool ready = true;
        for (Chunk const& chunk : action) {
          bool const is_forward = chunk.kind == Chunk::forward;
          seconds = is_forward                      ? t.forward
                    : chunk.kind == Chunk::backward ? t.backward
                    : chunk.kind == Chunk::inputs   ? t.backward - t.weight
                                                    : t.weight;
          if (chunk.kind == Chunk::weights) continue;
          int const step = (chunk.direction == 0) == is_forward ? -1 : 1, from = device + step;
          int const micro = count[d][static_cast<std::size_t>(2 * chunk.direction + (is_forward ? 0 : 1))];
          bool const inside = from >= 0 && from < devices;
          if (is_forward && !inside) continue;  // the first stage: its input is there
          auto const& done = is_forward || !inside ? forward_done : backward_done;
          auto const found = done.find({inside ? from : device, chunk.direction, micro});
          ready = ready && found != done.end();
          if (found != done.end()) start = std::max(start, found->second);
        }
        if (!ready) break;
        now[d] = start + (action.size() == 2 ? t.pair : seconds);
        for (Chunk const& chunk : action) {
          if (chunk.kind == Chunk::weights) continue;
          bool const is_forward = chunk.kind == Chunk::forward;
          int& micro = count[d][static_cast<std::size_t>(2 * chunk.direction + (is_forward ? 0 : 1))];
          (is_forward ? forward_done : backward_done)[{device, chunk.direction, micro++}] = now[d];
        }
      }
    }
  }
  for (std::size_t d = 0; d < programs.size(); ++d) REQUIRE(at[d] == programs[d].size());
  return *std::max_element(now.begin(), now.end());
}

/// One forward, one backward. With `zero_bubble`, backward of weights waits as many micro-batches as the
/// device's number.
std::vector<Program> one_direction(int stages, int micro_batches, bool zero_bubble) {
  std::vector<Program> programs;
  for (int device = 0; device < stages; ++device) {
    Program program;
    int forward = std::min(stages - 1 - device, micro_batches), weights = 0;
    for (int i = 0; i < forward; ++i) program.push_back({{Chunk::forward, 0}});
    for (int i = 0; i < micro_batches; ++i) {
      if (forward++ < micro_batches) program.push_back({{Chunk::forward, 0}});
      program.push_back({{zero_bubble ? Chunk::inputs : Chunk::backward, 0}});
      if (zero_bubble && i >= device) {
        program.push_back({{Chunk::weights, 0}});
        ++weights;
      }
    }
    for (; zero_bubble && weights < micro_batches; ++weights) program.push_back({{Chunk::weights, 0}});
    programs.push_back(program);
  }
  return programs;
}

/// DualPipe by the eight steps of its repository's figure and code: `depth` is the distance from the nearer
/// end.
std::vector<Program> both_directions(int stages, int micro_batches) {
  std::vector<Program> programs;
  int const half = stages / 2;
  for (int device = 0; device < stages; ++device) {
    int const depth = std::min(device, stages - 1 - device), inward = half - depth - 1;
    int const own = device < half ? 0 : 1,
              other = 1 - own;  // chunks that came in at the nearer end, and others
    Program program;
    auto const add = [&](int times, std::initializer_list<Action> actions) {
      for (int i = 0; i < times; ++i) program.insert(program.end(), actions);
    };
    Action const forward_own{{Chunk::forward, own}}, forward_other{{Chunk::forward, other}};
    Action const inputs_own{{Chunk::inputs, own}}, inputs_other{{Chunk::inputs, other}},
        weights{{Chunk::weights, 0}};
    Action const own_with_other{{Chunk::forward, own}, {Chunk::backward, other}};
    Action const far_with_own{{Chunk::forward, other}, {Chunk::backward, own}};
    add(2 * inward, {forward_own});
    add(depth + 1, {forward_own, forward_other});
    add(inward, {inputs_other, weights, forward_other});
    int const steady = micro_batches / 2 - stages + depth + 1;
    for (int i = 0; i < steady; ++i) {
      if (i == 0 && inward == 0)
        add(1, {forward_own, {{Chunk::backward, other}}});  // apart, which shortens the bubble
      else
        add(1, {own_with_other});
      add(1, {far_with_own});
    }
    add(inward, {{{Chunk::backward, other}}, far_with_own});
    bool split = false;
    for (int i = 0; i <= depth; ++i) {
      if (i == (depth + 1) / 2 && depth % 2 == 1) split = true;
      add(1, {{{split ? Chunk::inputs : Chunk::backward, other}}});
      if (i == (depth + 1) / 2 && depth % 2 == 0) split = true;
      add(1, {{{split ? Chunk::inputs : Chunk::backward, own}}});
    }
    add(inward, {weights, inputs_own});
    add(depth + 1, {weights});
    programs.push_back(program);
  }
  return programs;
}

}  // namespace

TEST_CASE("bubbles are those of V3's table 2, worked by hand") {
  constexpr ChunkTimes t{.forward = 1.0, .backward = 2.0, .weight = 1.0, .pair = 3.0};
  STATIC_REQUIRE(bubble_seconds(Schedule::one_f_one_b, 4, t) == 9.0);  // 3 (1 + 2)
  STATIC_REQUIRE(bubble_seconds(Schedule::zb1p, 4, t) == 3.0);         // 3 (1 + 2 - 2)
  STATIC_REQUIRE(bubble_seconds(Schedule::dual_pipe, 8, t) == 6.0);    // 3 (3 + 2 - 3)
  STATIC_REQUIRE(bubble_seconds(Schedule::one_f_one_b, 1, t) == 0.0);
  STATIC_REQUIRE(bubble_seconds(Schedule::dual_pipe, 2, t) == 0.0);
  STATIC_REQUIRE(pipeline_seconds(Schedule::one_f_one_b, 4, 8, t) == 33.0);  // 8 · 3 + 9
  STATIC_REQUIRE(pipeline_seconds(Schedule::dual_pipe, 8, 20, t) == 66.0);   // 20 · 3 + 6
}

TEST_CASE("schedules played through take what the formulas say") {
  using Catch::Approx;
  for (auto const& [f, b, w] :
       {std::array{1.0, 2.0, 1.0}, std::array{1.2, 2.5, 1.0}, std::array{1.0, 2.2, 0.8}}) {
    ChunkTimes const t{.forward = f, .backward = b, .weight = w, .pair = f + b};
    for (auto const& [stages, n] : {std::pair{1, 3}, std::pair{4, 8}, std::pair{6, 9}, std::pair{8, 20}}) {
      INFO(stages << " stages, " << n << " micro-batches, F " << f << " B " << b << " W " << w);
      CHECK(play(one_direction(stages, n, false), t) ==
            Approx(pipeline_seconds(Schedule::one_f_one_b, stages, n, t)));
      CHECK(play(one_direction(stages, n, true), t) ==
            Approx(pipeline_seconds(Schedule::zb1p, stages, n, t)));
    }
  }
}

TEST_CASE("DualPipe played through takes what the formula says") {
  using Catch::Approx;
  for (auto const& [stages, n] :
       {std::pair{4, 12}, std::pair{8, 20}, std::pair{16, 64}, std::pair{16, 120}}) {
    INFO(stages << " stages, " << n << " micro-batches");
    // Two chunks that overlap take as long as one after the other, or less: then chunks alone count.
    for (double const pair : {3.0, 2.4}) {
      ChunkTimes const t{.forward = 1.0, .backward = 2.0, .weight = 1.0, .pair = pair};
      CHECK(play(both_directions(stages, n), t) ==
            Approx(pipeline_seconds(Schedule::dual_pipe, stages, n, t)));
    }
    // Backward that is longer than twice forward: the paper's bubble is not exact any more.
    ChunkTimes const t{.forward = 66.0, .backward = 115.0, .weight = 38.0, .pair = 138.0};
    CHECK(play(both_directions(stages, n), t) ==
          Approx(pipeline_seconds(Schedule::dual_pipe, stages, n, t)).epsilon(0.01));
  }
}

TEST_CASE("what is kept in flight and held by a device") {
  STATIC_REQUIRE(chunks_in_flight(Schedule::one_f_one_b, 16, 120) == 16);
  STATIC_REQUIRE(chunks_in_flight(Schedule::zb1p, 16, 120) == 16);
  STATIC_REQUIRE(chunks_in_flight(Schedule::dual_pipe, 16, 120) == 17);
  STATIC_REQUIRE(chunks_in_flight(Schedule::one_f_one_b, 16, 3) == 3);
  STATIC_REQUIRE(stages_per_device(Schedule::dual_pipe) == 2);
  STATIC_REQUIRE(stages_per_device(Schedule::zb1p) == 1);
}

TEST_CASE("whole layers are dealt out so that the fullest device has the least") {
  STATIC_REQUIRE(split_layers(12, 4, 0.0).inner == 3);
  STATIC_REQUIRE(split_layers(12, 4, 0.0).outer == 3);
  STATIC_REQUIRE(split_layers(61, 8, 3.6).inner == 8);  // 7 · 8 + 5
  STATIC_REQUIRE(split_layers(61, 8, 3.6).outer == 5);
  STATIC_REQUIRE(split_layers(61, 16, 3.6).outer == 1);  // 15 · 4 + 1
  STATIC_REQUIRE(split_layers(4, 4, 5.0).outer == 0);    // the head alone is more than all layers
  STATIC_REQUIRE(split_layers(7, 1, 2.0).outer == 7);
  for (Index layers = 1; layers <= 40; ++layers)
    for (Index places = 2; places <= layers; ++places)
      for (double const head : {0.0, 0.4, 1.0, 3.6, 50.0}) {
        auto const load = [&](Index inner) {
          return std::max(static_cast<double>(inner),
                          static_cast<double>(std::max(layers - inner * (places - 1), Index{0})) + head);
        };
        double best = load(0);
        for (Index inner = 1; inner <= layers; ++inner) best = std::min(best, load(inner));
        LayerSplit const split = split_layers(layers, places, head);
        INFO(layers << " layers, " << places << " places, head " << head);
        CHECK(load(split.inner) == best);
        CHECK(split.inner * (places - 1) + split.outer >= layers);
      }
}
