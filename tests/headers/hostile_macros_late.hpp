// More of hostile_macros.hpp: names that the standard library or Eigen use themselves, so these macros are
// defined after their headers and before ours.
#pragma once

#include "hostile_macros.hpp"

// Every second C project
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))

// Eigen
#define info hostile info
#define C1 hostile C1

// Xlib
#define Bool int
#define False 0
#define None 0L
#define Status int
#define Success 0
#define True 1
