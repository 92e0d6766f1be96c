#!/usr/bin/env python3
"""Times prefill and decoding of aeth and of llama.cpp's kind of engines on the same GGUF file, in turns.

    inference.py --aeth PROGRAM --model peer --file FILE.gguf [--precision bf16] --llama-bench PATH [options]

PROGRAM is aeth_inference; README.md says how to build it. FILE must be of MODEL's configuration, in the weight type
that --precision stands for (F32 for fp32, BF16 for bf16). PATH is the program llama-bench of a build of llama.cpp;
--ik-llama-bench takes the one of ik_llama.cpp. No setting of these engines is best for everything, so several are
timed; --llama-flags and --ik-flags, which may be repeated, replace them.
"""
import argparse
import json
import os
import subprocess
import sys

from contender import Contender, compare, pause, print_table

LLAMA_FLAGS = ["-fa 0", "-fa 1"]
# -rtr stores weights anew for the kernels at load; there is nothing of the kind for F32.
IK_FLAGS = {"fp32": ["-mla 3 -fa 1 -fmoe 1 -rtr 0"],
            "bf16": ["-mla 1 -fa 1 -fmoe 1 -rtr 1", "-mla 3 -fa 1 -fmoe 1 -rtr 0", "-mla 3 -fa 1 -fmoe 1 -rtr 1"]}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aeth", required=True, help="the program aeth_inference")
    parser.add_argument("--model", choices=["mini", "peer", "peer_a"], default="peer")
    parser.add_argument("--file", required=True, help="a GGUF file of that configuration")
    parser.add_argument("--precision", choices=IK_FLAGS, default="bf16")
    parser.add_argument("--llama-bench", metavar="PATH")
    parser.add_argument("--ik-llama-bench", metavar="PATH")
    parser.add_argument("--llama-flags", action="append", metavar="FLAGS")
    parser.add_argument("--ik-flags", action="append", metavar="FLAGS")
    parser.add_argument("--cache", nargs="+", choices=["latent", "expanded"], default=["latent", "expanded"],
                        help="forms of aeth's cache (latent expanded)")
    parser.add_argument("--prompts", type=int, nargs="*", default=[512, 2048], help="lengths of prompts (512 2048)")
    parser.add_argument("--depths", type=int, nargs="*", default=[0, 2048],
                        help="tokens before the decoded ones (0 2048)")
    parser.add_argument("--decode", type=int, default=128, help="tokens to decode (128)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each contender (5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="(all cores)")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between contenders (0.3)")
    parser.add_argument("--json", help="append one JSON object per peer to this file")
    return parser.parse_args()


class Aeth:
    """Our program, with one form of its cache; the forms share the process, and so the weights."""

    def __init__(self, contender, form):
        self.name, self.contender, self.form = f"aeth {form}", contender, form

    def seconds(self, test):
        kind, count, depth = test
        self.contender.ask(f"cache {self.form}")
        short = "prefill 16" if kind == "prefill" else f"decode {depth} 4"
        self.contender.ask(short)  # memory of a new cache is touched, and the depth is filled
        return self.contender.ask(self.line(test))[0]

    def limit(self, test):
        """Seconds that the machine, measured now, needs at least."""
        return self.contender.ask("limit " + self.line(test))[0]

    @staticmethod
    def line(test):
        kind, count, depth = test
        return f"prefill {count}" if kind == "prefill" else f"decode {depth} {count}"


class LlamaBench:
    """A llama-bench with flags: one run, which warms itself up, for each sample."""

    def __init__(self, name, program, flags, is_ik, options):
        self.name = f"{name} {flags}"
        self.is_ik = is_ik
        self.command = [program, "-m", options.file, "-t", str(options.threads), "-r", "1", *flags.split()]

    def test_flags(self, test):
        kind, count, depth = test
        if kind == "prefill":
            return ["-p", str(count), "-n", "0"]
        if self.is_ik and depth > 0:
            return ["-p", "0", "-n", "0", "-gp", f"{depth},{count}"]
        return ["-p", "0", "-n", str(count)] + ([] if self.is_ik else ["-d", str(depth)])

    def seconds(self, test):
        command = [*self.command, *self.test_flags(test), "-o", "json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begin = done.stdout.find("[")
        if done.returncode != 0 or begin < 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        result, _ = json.JSONDecoder().raw_decode(done.stdout[begin:])
        if len(result) != 1:
            raise SystemExit(f"{' '.join(command)} answered {len(result)} results, not one")
        return test[1] / result[0]["avg_ts"]


def main():
    options = parse()
    capacity = max([*options.prompts, *[depth + options.decode for depth in options.depths]])
    program = Contender([options.aeth, options.model, options.precision, options.file, "--capacity", capacity,
                         "--threads", options.threads], options.threads)
    contenders = [Aeth(program, form) for form in options.cache]
    if options.llama_bench:
        contenders += [LlamaBench("llama.cpp", options.llama_bench, flags, False, options)
                       for flags in options.llama_flags or LLAMA_FLAGS]
    if options.ik_llama_bench:
        contenders += [LlamaBench("ik_llama.cpp", options.ik_llama_bench, flags, True, options)
                       for flags in options.ik_flags or IK_FLAGS[options.precision]]
    tests = [("prefill", length, 0) for length in options.prompts]
    tests += [("decode", options.decode, depth) for depth in options.depths]
    for test in tests:
        kind, count, depth = test
        rates = {contender.name: [] for contender in contenders}
        shares = {}
        for _ in range(options.rounds):
            for contender in contenders:
                seconds = contender.seconds(test)
                rates[contender.name].append(count / seconds)
                if isinstance(contender, Aeth):
                    shares.setdefault(contender.name, []).append(contender.limit(test) / seconds)
                pause(options.pause)
        config = f"{options.model} {count}" + (f" depth {depth}" if kind == "decode" else "")
        print_table(f"infer.{kind} {config} {options.precision}, {options.threads} threads", rates, "tokens/s", shares)
        row = {"bench": f"infer.{kind}", "config": config, "precision": options.precision, "threads": options.threads}
        compare(rates, lambda name: name.startswith("aeth"), row, options.json)
    program.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
