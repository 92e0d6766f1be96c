// Everything for a CPU, used for nothing.
#include "aeth/aeth.hpp"

int main() {}
