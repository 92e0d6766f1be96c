// Macros that other libraries and system headers are known to define. A header of ours must compile after
// them. Only names that the standard library itself survives; see hostile_macros_late.hpp for the rest.
#pragma once

// <complex.h>, <termios.h>, <sys/sysmacros.h>, the old <math.h>
#define I hostile I
#define B0 hostile B0
#define DOMAIN hostile DOMAIN
#define major(device) hostile major
#define minor(device) hostile minor

// Windows headers
#define small hostile small
#define near hostile near
#define far hostile far
#define interface hostile interface
#define ERROR hostile ERROR
#define TRUE 1
#define FALSE 0

// Test and logging libraries
#define ASSERT(condition) hostile ASSERT
#define CHECK(condition) hostile CHECK
#define EXPECT(condition) hostile EXPECT
#define FAIL hostile FAIL
#define INFO hostile INFO
#define LOG(level) hostile LOG
#define REQUIRE(condition) hostile REQUIRE

// Numerical code and build systems
#define DEBUG hostile DEBUG
#define EPS hostile EPS
#define F1 hostile F1
#define PAGE_SIZE hostile PAGE_SIZE
#define PI hostile PI
#define UNUSED hostile UNUSED
#define VERSION hostile VERSION
