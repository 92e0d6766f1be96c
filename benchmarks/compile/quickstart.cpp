// What the README shows: a model trained and sampled from.
#include "../../examples/01_quickstart.cpp"
