#!/usr/bin/env python3
"""Makes tests/unit/interchange/data/fp8.safetensors: matrices in DeepSeek's FP8 layout and their values by its rule.

    tests/oracles/fp8_weights.py OUT

Needs torch and safetensors. For each matrix `w`: `w.weight` (F8_E4M3), `w.weight_scale_inv` (F32), and `w.values` (F32), which
is code times scale in FP32, as inference/fp8_cast_bf16.py of the DeepSeek-V3 repository computes it before it rounds to BF16.
Scales are the largest magnitude of a block over 448; shapes are ragged on purpose.
"""
import sys

import torch
from safetensors.torch import save_file


def quantise(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows, cols = w.shape
    padded = torch.zeros(-(-rows // 128) * 128, -(-cols // 128) * 128)
    padded[:rows, :cols] = w
    blocks = padded.view(padded.shape[0] // 128, 128, padded.shape[1] // 128, 128)
    scales = blocks.abs().amax(dim=(1, 3)) / 448.0
    codes = (blocks / scales[:, None, :, None]).view(padded.shape)[:rows, :cols].to(torch.float8_e4m3fn)
    return codes.contiguous(), scales


def dequantise(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    rows, cols = codes.shape
    spread = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :cols]
    return (codes.to(torch.float32) * spread).contiguous()


def main() -> None:
    torch.manual_seed(0)
    tensors = {}
    for name, shape in {"square": (128, 128), "kv_a": (192, 256), "odd": (131, 200), "narrow": (24, 40)}.items():
        codes, scales = quantise(torch.randn(shape) * 0.02)
        tensors |= {f"{name}.weight": codes, f"{name}.weight_scale_inv": scales,
                    f"{name}.values": dequantise(codes, scales)}
    save_file(tensors, sys.argv[1])


main()
