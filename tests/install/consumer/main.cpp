// A user's program: a configuration as a constant, passed as a template value.
#include <aeth/config/model_config.hpp>
#include <aeth/core/error.hpp>
#include <aeth/core/random.hpp>
#include <aeth/version.hpp>
#include <cstdio>

#include "tiny.hpp"

template <aeth::ModelConfig C>
void print() {
  std::printf(
      "aeth %d.%d.%d: vocabulary %d, width %d, %d layers (%d dense), %d experts of width %d, latent %d\n",
      AETH_VERSION_MAJOR, AETH_VERSION_MINOR, AETH_VERSION_PATCH, C.vocab_size, C.dim, C.layers,
      C.dense_layers, C.moe.experts, C.moe.hidden_dim, C.mla.kv_rank);
}

int main() {
  print<tiny>();
  try {
    aeth::expect<aeth::ConfigError>(dim_seen_elsewhere() != tiny.dim, "dim is ", tiny.dim);
  } catch (aeth::Error const& error) {
    std::printf("%s, random %08x\n", error.what(),
                static_cast<unsigned>(aeth::Random(1, aeth::RandomUse::test).bits()));
    return 0;
  }
  return 1;
}
