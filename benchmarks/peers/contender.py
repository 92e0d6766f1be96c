"""What training.py and inference.py share: contenders that answer lines, medians, tables and JSON lines."""
import json
import os
import statistics
import subprocess
import time


class Contender:
    """A program that answers each line on its standard input by one on its standard output."""

    def __init__(self, command, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="false")
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment)
        if self.answer() != ["ready"]:
            raise SystemExit(f"{self.command[0]} did not say that it is ready")

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"ended early: {' '.join(self.command)}")
        return line.split()

    def ask(self, line):
        """The numbers of the answer."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return [float(word) for word in self.answer()]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def pause(seconds):
    """Lets the threads of the last contender, which may spin for a while, go to sleep."""
    time.sleep(seconds)


def print_table(title, rates, unit, shares=None):
    """Median, least and most of each contender's rates, the fastest first; `shares` of the limit where known."""
    print(f"\n{title}, {unit}")
    print(f"  {'':44} {'median':>9} {'least':>9} {'most':>9} {'samples':>8}" + ("  of limit" if shares else ""))
    for name, values in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        share = f"{statistics.median(shares[name]):8.0%}" if shares and name in shares else ""
        print(f"  {name:44} {statistics.median(values):9.1f} {min(values):9.1f} {max(values):9.1f} {len(values):8}"
              f" {share}")


def compare(rates, is_ours, row, path):
    """Prints the ratio of our fastest variant to the fastest peer; appends a JSON line for each peer to `path`.

    A ratio is the median of those of each round, whose samples were taken shortly after one another (with training.py's
    --alone, in the same turn): a machine that is slow for a while is slow for both."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ours = {name: rate for name, rate in medians.items() if is_ours(name)}
    if not ours or len(ours) == len(medians):
        return
    best = max(ours, key=ours.get)
    ratios = {name: statistics.median(mine / theirs for mine, theirs in zip(rates[best], values))
              for name, values in rates.items() if not is_ours(name)}
    fastest = min(ratios, key=ratios.get)
    print(f"  {best} / {fastest}, the fastest peer: {ratios[fastest]:.2f}", flush=True)
    if not path:
        return
    with open(path, "a") as out:
        for name, ratio in ratios.items():
            line = row | {"value": round(ours[best], 2), "unit": "tokens/s", "peer": name,
                          "peer_value": round(medians[name], 2), "ratio": round(ratio, 4)}
            out.write(json.dumps(line) + "\n")
