#!/usr/bin/env python3
"""Small byte-level BPE tokenizers in the manner of known models, trained by the `tokenizers` library.

Usage: tests/oracles/tokenizer_families.py FOLDER

Writes FOLDER/NAME.json for each family: the tokenizer and cases of text with the ids that the library gives. The unit
test tests/unit/data/tokenizer_families_test.cpp reads them, so that it needs no Python. Made with tokenizers 0.23.3.
"""

import argparse
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4 = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
        r"|\s*[\r\n]|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# As the files of DeepSeek-V2 split, with fewer cased alphabets in the second pattern.
V2 = ["[\r\n]", "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯＡ-Ｚａ-ｚ]+",
      "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥ࠀ-一가-퟿]+"]
CODER = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(prefix=False, regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


# Name: pre-tokenizer, whether merges are ignored for words in the vocabulary.
FAMILIES = {
    "gpt2": lambda: (byte_level(regex=True), False),
    "gpt2_space": lambda: (sequence(split(r"\n"), byte_level(prefix=True, regex=True)), False),
    "llama3": lambda: (sequence(split(LLAMA3), byte_level()), True),
    "qwen2": lambda: (sequence(split(QWEN2), byte_level()), False),
    "gpt4": lambda: (sequence(split(GPT4, "removed", True), byte_level()), False),
    "gpt4o": lambda: (sequence(split(GPT4O), byte_level()), False),
    "starcoder": lambda: (sequence(pre_tokenizers.Digits(individual_digits=True), byte_level(regex=True)), False),
    "deepseek_v2": lambda: (sequence(*[split(p) for p in V2], pre_tokenizers.Digits(individual_digits=True),
                                     byte_level()), False),
    "deepseek_coder": lambda: (sequence(*[split(p) for p in CODER], pre_tokenizers.Digits(individual_digits=True),
                                        byte_level()), False),
    "behaviors": lambda: (sequence(split("\\n", "merged_with_previous"), split("[.,;]", "merged_with_next"),
                                   pre_tokenizers.Digits(individual_digits=False), split("x", "contiguous"),
                                   split(r"[^ \t]+", "merged_with_next", True),
                                   pre_tokenizers.Split("(a", "isolated"), byte_level()), False),
}

TRAINING = ["The quick brown fox doesn't jump; it's 12345 lazy dogs over THE   fence.\n\n", "int main() { return 0; }\n",
            "  for (int i = 0; i < 10; ++i) x += data[i]; // it'll\n", "été naïve Straße 漢字かな交じり文 한국어 العربية עברית\n",
            "\t\tself.value = None\r\n", "中文分词测试，世界。 1,234.56 ½ ²\n"]


def train(name, texts, vocab_size):
    """A tokenizer of a family, with added tokens of every kind (none of which the merges make, too)."""
    pre, ignore_merges = FAMILIES[name]()
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False, special_tokens=["<|bos|>", "<|eos|>"])
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(["<|bos|><|", AddedToken("<|strip|>", lstrip=True, rstrip=True)])
    tokenizer.add_tokens([AddedToken("qword", single_word=True, normalized=False), AddedToken("<think>", normalized=True),
                          AddedToken("nk><", normalized=True), AddedToken("<@<", lstrip=True, normalized=True)])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|bos|> $A", pair="$A $B", special_tokens=[("<|bos|>", 0)])])
    return tokenizer


CASES = TRAINING + [
    "", " ", "   ", "\n \n  z", "x   ", "a\u00a0b\u3000c\u2003\u0085d", "DON'T don'T we'LL 'ſ 'S", "hello<|eos|> \n<|strip|>\t world",
    "qword sqword qwords (qword) qword2 _qword qwordé qword", "<|bos|><|bos|><||eos|>", "<think>nk>< think> <@<  <@< x", "ǅungla ǄX aªb ºc",
    "..,;;x.\nxx\n.\n12 34\t56", "(a(ab((a", "😀👩‍🔬\u200d\u202e\ufeff\ue000\U0010ffff", "１２３４٠١٢一二三〇", "ﬁ ß ŉ İ ı K Å",
    "a\u0301e\u0308\u0300", "\u1112\u1161\u11ab\u212b<think>D\u0307\u0323<|eos|>\u0301\u0958", "\x00\x01\x1c\x1f\x7f\x80", "¿Qué? «non» „ja“ ‘’‚—…", "\u180e\u200b\u2028\u2029\u205f",
    "http://www.example.com/a_b?c=%20&d=[1,2,{3}]", "  \r\n\r\n  \t\n", "aAaA AAaa AaBbCC iPhone XMLHttpRequest",
]


def random_cases(count=25):
    """Short texts of characters that the patterns treat differently."""
    rng = random.Random(3)
    hot = list("    \n\n\r\taZ19.'/+sStTlLx(;,") + [chr(c) for c in (
        0x85, 0xA0, 0xB2, 0xE9, 0x17F, 0x1C5, 0x2B0, 0x301, 0x660, 0x5D0, 0x200B, 0x2003, 0x2028, 0x2019, 0x20AC, 0x2581,
        0x3000, 0x3002, 0x3007, 0x3042, 0x4E00, 0x9FA5, 0xAC00, 0xE000, 0xFF11, 0xFF21, 0x1F600, 0x1D7CE)]
    return ["".join(rng.choice(hot) for _ in range(rng.randrange(1, 30))) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    os.makedirs(folder, exist_ok=True)
    for name in FAMILIES:
        tokenizer = train(name, TRAINING, 330)
        lines = [json.dumps({"text": text, "ids": tokenizer.encode(text).ids}, ensure_ascii=True)
                 for text in CASES + random_cases()]
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as out:
            compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
            out.write('{"tokenizer":' + compact + ',\n"cases":[\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
