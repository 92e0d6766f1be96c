// A model type of 61 layers; scripts/compile-depth compares it with its sibling.
#include "v3_layers.hpp"

template class aeth::Model<v3_with_layers<61>, aeth::Bf16, aeth::Cpu>;
template class aeth::Pass<V3<61>>;
template class aeth::train::Stepper<V3<61>>;

int main() {}
