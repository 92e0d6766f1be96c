// CMake precompiles a header only for a target with a source that uses it; main.cpp must not.
#include "support/precompiled.hpp"
