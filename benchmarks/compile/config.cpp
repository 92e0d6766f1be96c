// The cheapest thing a user can include: a configuration, without a model.
#include "aeth/config/model_config.hpp"

template <aeth::ModelConfig C>
int width() {
  return C.dim;
}

int main() {
  return width<aeth::ModelConfig{.dim = 64}>() - 64;
}
