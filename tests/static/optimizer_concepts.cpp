// What is an optimizer and what is not. Compiling is passing.
#include <type_traits>

#include "aeth/backend/cpu.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/concepts.hpp"
#include "aeth/optim/muon.hpp"
#include "aeth/optim/on_backend.hpp"
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

/// Says that it takes matrices, and cannot update one.
struct MatricesWithoutUpdate : Smallest {
  static constexpr bool takes_matrices = true;
};

struct SmallestOfMatrices : MatricesWithoutUpdate {
  Smallest const& elementwise() const;
  void update_matrix(Cpu&, std::span<float>, std::span<float const>, OptimizerState<float> const&,
                     ParameterRange, UpdateStep const&, Arena&) const;
};

struct MatricesWithoutElementwise : MatricesWithoutUpdate {
  void update_matrix(Cpu&, std::span<float>, std::span<float const>, OptimizerState<float> const&,
                     ParameterRange, UpdateStep const&, Arena&) const;
};

struct RefusesMatrices : SmallestOfMatrices {
  static constexpr bool takes_matrices = false;
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
static_assert(Optimizer<Muon, float>);
static_assert(Optimizer<Muon, float, bf16>);
static_assert(!Optimizer<Muon, double, bf16>);
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

// TakesMatrices
static_assert(TakesMatrices<Muon>);
static_assert(TakesMatrices<archetype::MatricesWithoutUpdate>);
static_assert(!TakesMatrices<archetype::RefusesMatrices>);
static_assert(!TakesMatrices<AdamW>);
static_assert(!TakesMatrices<Sgd>);
static_assert(!TakesMatrices<int>);

// HasMatrixUpdate
static_assert(HasMatrixUpdate<Muon, Cpu, float>);
static_assert(HasMatrixUpdate<Muon, Cpu, double>);
static_assert(HasMatrixUpdate<Muon, Cpu, float, bf16>);
static_assert(HasMatrixUpdate<archetype::SmallestOfMatrices, Cpu, float>);
static_assert(!HasMatrixUpdate<Muon, int, float>);
static_assert(!HasMatrixUpdate<AdamW, Cpu, float>);
static_assert(!HasMatrixUpdate<archetype::MatricesWithoutElementwise, Cpu, float>);

// OptimizerOn
static_assert(OptimizerOn<Muon, Cpu, float, bf16>);
static_assert(OptimizerOn<AdamW, Cpu, float>);
static_assert(OptimizerOn<archetype::Smallest, int, float>);
static_assert(OptimizerOn<archetype::SmallestOfMatrices, Cpu, float>);
static_assert(OptimizerOn<archetype::RefusesMatrices, Cpu, float>);
static_assert(!OptimizerOn<archetype::MatricesWithoutUpdate, Cpu, float>);
static_assert(!OptimizerOn<archetype::NoOptions, Cpu, float>);

// OnBackend needs an arena for matrices only
static_assert(std::is_constructible_v<OnBackend<AdamW, Cpu>, AdamW const&, Cpu&>);
static_assert(std::is_constructible_v<OnBackend<Muon, Cpu>, Muon const&, Cpu&, Arena&>);
static_assert(!std::is_constructible_v<OnBackend<Muon, Cpu>, Muon const&, Cpu&>);
static_assert(Optimizer<OnBackend<Muon, Cpu>, float>);

// states and ranges are views and numbers
static_assert(std::is_trivially_copyable_v<OptimizerState<float>>);
static_assert(std::is_trivially_copyable_v<ParameterRange>);

}  // namespace aeth::optim
