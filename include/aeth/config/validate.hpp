/// Compile-time validation of configurations: one readable sentence per broken rule, before any layer is
/// instantiated. The rules are in `config/rules.hpp`; for values read at run time see
/// `config/violations.hpp`.
#pragma once

#include "aeth/config/model_config.hpp"
#include "aeth/config/rules.hpp"

#define AETH_STATIC_RULE(left, comparison, right, sentence) static_assert((left)comparison(right), sentence);

namespace aeth {

/// Fails to compile, with a sentence per broken rule, unless attention can be built from C.
template <MlaConfig C>
consteval bool validate_mla() {
  AETH_MLA_RULES(AETH_STATIC_RULE, C)
  return true;
}

/// The same for a layer with experts.
template <MoeConfig C>
consteval bool validate_moe() {
  AETH_MOE_RULES(AETH_STATIC_RULE, C)
  return true;
}

/// The same for a whole model, its attention, and its experts if it has any.
template <ModelConfig C>
consteval bool validate_model() {
  AETH_MODEL_RULES(AETH_STATIC_RULE, C)
  bool valid = validate_mla<C.mla>();
  if constexpr (C.moe.experts > 0) valid = validate_moe<C.moe>() && valid;
  return valid;
}

}  // namespace aeth

#undef AETH_STATIC_RULE
