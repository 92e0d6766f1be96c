// What is an optimizer and what is not. Compiling is passing.
#include <type_traits>

#include "aeth/optim/adamw.hpp"
#include "aeth/optim/concepts.hpp"
#include "aeth/optim/sgd.hpp"

namespace aeth::optim {
namespace archetype {

/// The smallest optimizer.
struct Smallest {
  struct Options {
    double clip = 1.0;
    friend std::string describe(Options const&) { return "smallest"; }
  };
  static constexpr int moments = 1;
  Options const& options() const;
  void update(std::span<float>, std::span<float const>, OptimizerState<float> const&, ParameterRange,
              UpdateStep const&) const;
};

struct NoOptions {
  static constexpr int moments = 1;
  void update(std::span<float>, std::span<float const>, OptimizerState<float> const&, ParameterRange,
              UpdateStep const&) const;
};

struct ThreeMoments : Smallest {
  static constexpr int moments = 3;
};

struct UpdateNotConst {
  using Options = Smallest::Options;
  static constexpr int moments = 1;
  Options const& options() const;
  void update(std::span<float>, std::span<float const>, OptimizerState<float> const&, ParameterRange,
              UpdateStep const&);
};

struct OptionsWithoutClip {
  struct Options {
    friend std::string describe(Options const&) { return {}; }
  };
  static constexpr int moments = 1;
  Options const& options() const;
};

struct OptionsWithoutDescription {
  struct Options {
    double clip = 1.0;
  };
  static constexpr int moments = 1;
  Options const& options() const;
};

}  // namespace archetype

// Optimizer
static_assert(Optimizer<archetype::Smallest, float>);
static_assert(Optimizer<AdamW, float>);
static_assert(Optimizer<AdamW, double>);
static_assert(Optimizer<Sgd, float>);
static_assert(Optimizer<Sgd, double>);
static_assert(!Optimizer<archetype::Smallest, double>);
static_assert(Optimizer<AdamW, float, bf16>);
static_assert(Optimizer<Sgd, float, bf16>);
static_assert(!Optimizer<AdamW, double, bf16>);
static_assert(!Optimizer<AdamW, float, double>);
static_assert(!Optimizer<archetype::Smallest, float, bf16>);
static_assert(!Optimizer<AdamW, int>);
static_assert(!Optimizer<int, float>);

// HasOptions
static_assert(!HasOptions<archetype::NoOptions>);
static_assert(!HasOptions<archetype::OptionsWithoutClip>);
static_assert(!HasOptions<archetype::OptionsWithoutDescription>);

// HasMoments
static_assert(HasMoments<archetype::NoOptions>);
static_assert(!HasMoments<archetype::ThreeMoments>);
static_assert(!HasMoments<int>);

// HasUpdate
static_assert(HasUpdate<archetype::NoOptions, float>);
static_assert(!HasUpdate<archetype::UpdateNotConst, float>);

// states and ranges are views and numbers
static_assert(std::is_trivially_copyable_v<OptimizerState<float>>);
static_assert(std::is_trivially_copyable_v<ParameterRange>);

}  // namespace aeth::optim
