#!/usr/bin/env python3
"""Writes what the `gguf` package makes of some blocks in Q8_0: make_q8_0.py FILE.

Needs gguf 0.19 and numpy. The file holds little-endian numbers without a header, per block of 32: the values (float32),
their Q8_0 block (34 bytes: float16 scale, int8 numbers), and the values of that block (float32). It is read by
tests/unit/numeric/q8_0_test.cpp.
"""
import sys

import numpy as np
from gguf import GGMLQuantizationType, dequantize, quantize


def blocks():
    random = np.random.default_rng(7)
    for scale in (1.0, 0.006, 3e4, 1e-5, 1e-7, 3e-8):  # the last ones have a subnormal scale or none
        for _ in range(4):
            yield random.standard_normal(32) * scale
    yield np.zeros(32)
    yield np.full(32, -2.5)
    # Halves: the scale is 1, so each value is the quotient.
    yield np.concatenate([[127.0], np.arange(31) - 15.5])
    yield np.concatenate([[-127.0], np.arange(31) * 2 + 0.5 - 31])
    # One value far above the others.
    yield np.concatenate([[1e6], np.full(31, 0.25)])
    # Scales halfway between two of float16.
    for odd in (2049, 2051):
        yield np.concatenate([[127.0 * odd / 2048], random.standard_normal(31)])


def main():
    values = np.stack(list(blocks())).astype("<f4")
    packed = quantize(values, GGMLQuantizationType.Q8_0)
    unpacked = dequantize(packed, GGMLQuantizationType.Q8_0).astype("<f4")
    with open(sys.argv[1], "wb") as out:
        for row in range(len(values)):
            out.write(values[row].tobytes() + packed[row].tobytes() + unpacked[row].tobytes())


main()
