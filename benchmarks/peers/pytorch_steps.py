#!/usr/bin/env python3
"""One contender of training.py: the steps of aeth_steps.cpp in PyTorch, with the same lines in and out.

    pytorch_steps.py CONTENDER PRECISION FOLDER TOKENS [options]

Needs torch, transformers and safetensors. CONTENDER is

    transformers            DeepseekV3ForCausalLM of Transformers
    transformers-compiled   the same under torch.compile
    handmade                the same model with everything fused that PyTorch has a fused operation for: handmade.py
    handmade-compiled       that under torch.compile

PRECISION fp32, or bf16. BF16 comes in two forms: `masters` has weights, activations and gradients in bfloat16 beside
master weights in FP32 that AdamW updates; `autocast` has weights and gradients in FP32. --bf16 chooses.
"""
import argparse
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY, CLIP = 1e-4, (0.9, 0.95), 1e-8, 0.1, 1.0


class TransformersModel:
    """Losses of Transformers' own model, its experts and attention in the form that is named."""

    def __init__(self, folder, dtype, compiled, attention, experts):
        from transformers import AutoModelForCausalLM
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention, experts_implementation=experts)
        self.model.train()
        self.loss = torch.compile(self.plain_loss, dynamic=False) if compiled else self.plain_loss

    def plain_loss(self, inputs, targets):
        """Sum of the cross entropies, in FP32."""
        logits = self.model(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")

    def parameters(self):
        return list(self.model.parameters())


class Optimizer:
    """Clipping and fused AdamW, on the parameters or on FP32 copies of those that are bfloat16."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.masters = [p if p.dtype == torch.float32 else p.detach().float() for p in parameters]
        self.copies = [(p, m) for p, m in zip(self.parameters, self.masters) if m is not p]
        for _, master in self.copies:
            master.grad = torch.empty_like(master)
        decayed = [m for m in self.masters if m.ndim > 1]
        others = [m for m in self.masters if m.ndim <= 1]
        self.adamw = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
            lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, fused=True)
        # The fused kernel divides by this as it goes, which saves a pass over all gradients.
        self.adamw.grad_scale = torch.ones(())

    def exact_norm(self):
        """Norm of the gradients, added up in FP64."""
        squares = sum(p.grad.double().square_().sum().item() for p in self.parameters if p.grad is not None)
        return squares**0.5

    def step(self):
        """Returns the norm of the gradients before clipping, as PyTorch adds it up in FP32: 1.2e-3 too small for the
        head of the model in between."""
        if self.copies:
            torch._foreach_copy_([m.grad for _, m in self.copies], [p.grad for p, _ in self.copies])
        gradients = [m.grad for m in self.masters if m.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        self.adamw.grad_scale.copy_(torch.clamp(norm / CLIP, min=1.0))
        self.adamw.step()
        if self.copies:
            with torch.no_grad():
                torch._foreach_copy_([p for p, _ in self.copies], [m for _, m in self.copies])
        for parameter in self.parameters:
            parameter.grad = None
        return norm.item()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", choices=[
        "transformers", "transformers-compiled", "handmade", "handmade-compiled"])
    parser.add_argument("precision", choices=["fp32", "bf16"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("tokens", type=pathlib.Path)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--micro", type=int, default=0, help="rows that go through at once (all)")
    parser.add_argument("--threads", type=int, default=0, help="(all cores)")
    parser.add_argument("--bf16", choices=["masters", "autocast"], default="masters")
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa", help="of Transformers")
    parser.add_argument("--experts", choices=["grouped_mm", "batched_mm", "eager"], default="grouped_mm",
                        help="of Transformers")
    return parser.parse_args()


def main():
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    narrow = options.precision == "bf16"
    dtype = torch.bfloat16 if narrow and options.bf16 == "masters" else torch.float32
    compiled = options.contender.endswith("-compiled")
    if options.contender.startswith("transformers"):
        model = TransformersModel(options.folder, dtype, compiled, options.attention, options.experts)
    else:
        from handmade import HandmadeModel
        model = HandmadeModel(options.folder, torch.bfloat16 if narrow else torch.float32, dtype, compiled)
    optimizer = Optimizer(model.parameters())
    rows = np.fromfile(options.tokens, "<i4").reshape(-1, options.rows, options.length + 1)
    micro = options.micro or options.rows
    autocast = torch.autocast("cpu", torch.bfloat16,
                              enabled=narrow and dtype == torch.float32 and isinstance(model, TransformersModel))

    def losses(batch, backward):
        total = 0.0
        for first in range(0, options.rows, micro):
            part = batch[first:first + micro]
            with autocast:
                loss = model.loss(part[:, :-1].contiguous(), part[:, 1:].contiguous())
            if backward:
                (loss / (options.rows * options.length)).backward()
            total += loss.item()
        return total / (options.rows * options.length)

    print("ready", flush=True)
    step = 0
    for line in sys.stdin:
        word = line.strip()
        if not word:
            break
        batch = torch.from_numpy(rows[step % len(rows)].astype(np.int64))
        begin = time.perf_counter()
        if word == "step":
            loss = losses(batch, True)
            exact = optimizer.exact_norm() if step == 0 else None  # a warm-up: it may take longer
            norm = optimizer.step()
            norm = norm if exact is None else exact
            print(f"{time.perf_counter() - begin:.9g} {loss:.9g} {norm:.9g}", flush=True)
            step += 1
        elif word == "forward":
            with torch.no_grad():
                loss = losses(batch, False)
            print(f"{time.perf_counter() - begin:.9g} {loss:.9g}", flush=True)
        else:
            raise SystemExit(f"neither step nor forward: {word}")


if __name__ == "__main__":
    main()
