#!/usr/bin/env python3
"""Compares aeth with Transformers, in both directions, on random models of small configurations.

Needs torch, transformers and safetensors, which no build or test of aeth needs. The other half is
tests/oracles/transformers_models.cpp. In an empty folder F:

    g++ -std=c++20 -O2 -Iinclude -Itests tests/oracles/transformers_models.cpp -o oracle -pthread
    ./oracle configs F
    tests/oracles/transformers_models.py make F     random models by Transformers: F/NAME/theirs
    ./oracle check F                                their logits in aeth; exports of aeth: F/NAME/ours-f32
    tests/oracles/transformers_models.py check F    the exports' logits in Transformers

F/NAME/theirs and F/NAME/theirs.safetensors of all configurations are what tests/unit/interchange/data holds.
"""
import argparse
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

LENGTH, ROWS, BOUND = 24, 2, 1e-4


def logits_of(model, tokens):
    with torch.no_grad():
        return model(tokens, use_cache=False).logits.float()


def make(folder: pathlib.Path) -> None:
    torch.manual_seed(hash_of(folder.name))
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager").eval()
    # Constants hide errors: no gain stays 1 and no selection bias 0.
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith("inv_freq"):
                continue
            if tensor.ndim == 1:
                tensor.add_(torch.randn_like(tensor) * 0.2)
            else:
                tensor.copy_(torch.randn_like(tensor) * 0.2)
    model.save_pretrained(folder / "theirs")
    tokens = torch.randint(config.vocab_size, (ROWS, LENGTH))
    save_file({"tokens": tokens, "logits": logits_of(model, tokens).contiguous()}, folder / "theirs.safetensors")


def check(folder: pathlib.Path) -> bool:
    model, info = AutoModelForCausalLM.from_pretrained(
        folder / "ours-f32", dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
        output_loading_info=True)
    answers = load_file(folder / "ours.safetensors")
    ours, theirs = answers["logits"], logits_of(model.eval(), answers["tokens"])
    difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    missing = sorted(info["missing_keys"])
    print(f"{folder.name:8} ours in Transformers: largest difference {difference:.1e} of the largest logit; "
          f"missing {missing}, left over {len(info['unexpected_keys'])}")
    return difference <= BOUND and not missing


def hash_of(name: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**31


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "check"])
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    folders = sorted(p for p in arguments.folder.iterdir() if (p / "config.json").exists())
    if not folders:
        parser.error(f"{arguments.folder} has no configurations; run the aeth half first")
    if arguments.what == "make":
        for folder in folders:
            make(folder)
        return 0
    return 0 if all([check(folder) for folder in folders]) else 1


if __name__ == "__main__":
    sys.exit(main())
