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


def print_table(title, rates, unit):
    """Median, least and most of each contender's rates, the fastest first."""
    print(f"\n{title}, {unit}")
    print(f"  {'':24} {'median':>9} {'least':>9} {'most':>9} {'samples':>8}")
    for name, values in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        print(f"  {name:24} {statistics.median(values):9.1f} {min(values):9.1f} {max(values):9.1f} {len(values):8}")


def compare(rates, is_ours, row, path):
    """Prints the ratio of our fastest variant to the fastest peer; appends a JSON line for each peer to `path`."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ours = {name: rate for name, rate in medians.items() if is_ours(name)}
    peers = {name: rate for name, rate in medians.items() if not is_ours(name)}
    if not ours or not peers:
        return
    value, best = max(ours.values()), max(peers, key=peers.get)
    print(f"  aeth / {best}, the fastest peer: {value / peers[best]:.2f}", flush=True)
    if not path:
        return
    with open(path, "a") as out:
        for name, rate in peers.items():
            line = row | {"value": round(value, 2), "unit": "tokens/s", "peer": name, "peer_value": round(rate, 2),
                          "ratio": round(value / rate, 4)}
            out.write(json.dumps(line) + "\n")
