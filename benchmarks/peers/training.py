#!/usr/bin/env python3
"""Times training steps of aeth and of PyTorch on the same weights and tokens, in turns.

    training.py --aeth PROGRAM [--model mini] [--precision fp32 bf16] [options]

PROGRAM is aeth_steps; README.md says how to build it. The contenders are loaded together and take one step each, round
after round, so that what disturbs the machine disturbs all of them; with --alone only one is loaded at a time, and
the turns are longer. Ends with 1 if a contender's first loss or gradient norm is not aeth's: it trains another model
then, and nothing is recorded.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from contender import Contender, compare, pause, print_table

PEERS = ["transformers", "transformers-compiled", "handmade", "handmade-compiled"]
VOCABULARY = {"mini": 4096, "middle": 16384, "peer": 32000}
# How far a first loss and gradient norm may be from aeth's, relatively.
BOUNDS = {"fp32": (1e-5, 1e-5), "bf16": (1e-3, 2e-2)}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aeth", required=True, help="the program aeth_steps")
    parser.add_argument("--model", choices=VOCABULARY, default="mini")
    parser.add_argument("--precision", nargs="+", choices=BOUNDS, default=["fp32", "bf16"])
    parser.add_argument("--peers", nargs="*", default=PEERS,
                        help="contenders of pytorch_steps.py, with its options: 'transformers --bf16 autocast'")
    parser.add_argument("--rows", type=int, default=16, help="of a step (16)")
    parser.add_argument("--length", type=int, default=256, help="of a row (256)")
    parser.add_argument("--micro", type=int, default=0, help="rows that go through at once (all)")
    parser.add_argument("--rounds", type=int, default=7, help="timed steps of each contender (7)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (2)")
    parser.add_argument("--alone", type=int, nargs="?", const=2, default=0, metavar="TURNS",
                        help="load one contender at a time, each in this many turns (2)")
    parser.add_argument("--what", choices=["step", "forward"], default="step")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="(all cores)")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between contenders (0.3)")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "aeth-peers",
                        help="folder for weights and tokens, which are made once")
    parser.add_argument("--json", help="append one JSON object per peer to this file")
    return parser.parse_args()


def make_inputs(options):
    """The folder of random weights and the file of tokens."""
    options.work.mkdir(parents=True, exist_ok=True)
    folder = options.work / options.model
    if not folder.exists():
        subprocess.run([options.aeth, "make", options.model, folder], check=True)
    tokens = options.work / f"{options.model}-{options.rows}x{options.length}.tokens"
    shape = (4 * options.rows, options.length + 1)
    np.random.default_rng(1).integers(VOCABULARY[options.model], size=shape).astype("<i4").tofile(tokens)
    return folder, tokens


def start(name, precision, inputs, options):
    flags = ["--length", options.length, "--rows", options.rows, "--micro", options.micro or options.rows,
             "--threads", options.threads]
    if name == "aeth":
        return Contender([options.aeth, "run", options.model, precision, *inputs, *flags], options.threads)
    program = pathlib.Path(__file__).parent / "pytorch_steps.py"
    kind, *more = name.split()
    return Contender([sys.executable, program, kind, precision, *inputs, *flags, *more], options.threads)


class Results:
    def __init__(self, names, options):
        self.options = options
        self.first = {}
        self.seconds = {name: [] for name in names}

    def warm_up(self, name, contender):
        """The first step of all is the one that is compared."""
        for _ in range(self.options.warmup):
            _, loss, norm = contender.ask("step")
            self.first.setdefault(name, (loss, norm))
        if self.options.what == "forward":
            contender.ask("forward")

    def sample(self, name, contender):
        self.seconds[name].append(contender.ask(self.options.what)[0])
        pause(self.options.pause)

    def rates(self):
        tokens = self.options.rows * self.options.length
        return {name: [tokens / s for s in seconds] for name, seconds in self.seconds.items()}

    def agree(self, precision):
        """Whether all first steps are aeth's; prints them."""
        our_loss, our_norm = self.first["aeth"]
        loss_bound, norm_bound = BOUNDS[precision]
        print(f"\n  {'first step':24} {'loss':>12} {'norm':>12} {'relative differences':>22}")
        fine = True
        for name, (loss, norm) in self.first.items():
            off = abs(loss - our_loss) / our_loss, abs(norm - our_norm) / our_norm
            same = off[0] <= loss_bound and off[1] <= norm_bound
            fine = fine and same
            print(f"  {name:24} {loss:12.7f} {norm:12.7f} {off[0]:11.1e} {off[1]:10.1e}"
                  + ("" if same else "  ANOTHER MODEL"))
        return fine


def run(precision, inputs, options):
    names = ["aeth", *options.peers]
    results = Results(names, options)
    if options.alone:
        for turn in range(options.alone):
            for name in names:
                contender = start(name, precision, inputs, options)
                results.warm_up(name, contender)
                for _ in range(-(-options.rounds // options.alone)):
                    results.sample(name, contender)
                contender.end()
    else:
        contenders = {name: start(name, precision, inputs, options) for name in names}
        for name, contender in contenders.items():
            results.warm_up(name, contender)
            pause(options.pause)
        for _ in range(options.rounds):
            for name, contender in contenders.items():
                results.sample(name, contender)
        for contender in contenders.values():
            contender.end()

    rows = f"{options.rows}x{options.length}"
    config = f"{options.model} {rows}" + (f" micro {options.micro}" if options.micro else "")
    print_table(f"train.{options.what} {config} {precision}, {options.threads} threads", results.rates(), "tokens/s")
    if not results.agree(precision):
        return False
    row = {"bench": f"train.{options.what}", "config": config, "precision": precision, "threads": options.threads}
    compare(results.rates(), lambda name: name == "aeth", row, options.json)
    return True


def main():
    options = parse()
    if options.warmup < 1:
        raise SystemExit("--warmup must be at least 1: the first step is compared")
    inputs = make_inputs(options)
    results = [run(precision, inputs, options) for precision in options.precision]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
