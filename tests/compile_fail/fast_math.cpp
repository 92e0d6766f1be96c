// Flags that allow the compiler to change results are refused.
// expect: aeth: compiled with -ffast-math
#ifndef AETH_COMPILE_FAIL_OK
#define __FAST_MATH__ 1
#endif
#include "aeth/backend/cpu/kernels.hpp"
