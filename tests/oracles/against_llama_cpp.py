#!/usr/bin/env python3
"""Compares aeth with llama.cpp: against_llama_cpp.py GGUF ANSWERS [--as-shipped] [--q8_0 FILE].

Needs llama-cpp-python 0.3.36 (its llama.cpp is the oracle), gguf 0.19, numpy and safetensors. ANSWERS is a file of
gguf_answers.cpp. Prints how far the logits of `tokens` are apart, how much of the greedy `continuation` of `prompt` is
the same, the perplexity by both over `tokens` and over all `rows`, and whether `text`, if it is there, becomes the same
ids.

llama.cpp computes in F32 as aeth does, unless --as-shipped asks for its defaults: a cache in F16 and flash attention.
With --q8_0, llama.cpp's own quantiser must make the tensors of FILE out of GGUF, bit for bit.
"""
import argparse
import ctypes
import os
import tempfile

import llama_cpp as llama
import numpy as np
from gguf import GGUFReader
from safetensors.numpy import load_file


class Engine:
    """One sequence of a model, fed with ids."""

    def __init__(self, path, length, as_shipped):
        llama.llama_backend_init()
        self.quiet = llama.llama_log_callback(lambda level, text, data: level == 4 and print(text.decode(), end=""))
        llama.llama_log_set(self.quiet, ctypes.c_void_p(0))
        self.model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp refuses {path}")
        params = llama.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = length
        params.n_threads = params.n_threads_batch = 2
        if not as_shipped:
            params.flash_attn_type = 0  # off: it computes in F16
            params.type_k = params.type_v = 0  # GGML_TYPE_F32
        self.context = llama.llama_init_from_model(self.model, params)
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.vocabulary = llama.llama_vocab_n_tokens(self.vocab)
        self.batch = llama.llama_batch_init(length, 0, 1)

    def restart(self):
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        self.position = 0

    def append(self, ids):
        """The logits of each of these tokens, [len(ids), vocabulary]."""
        batch = self.batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = int(token)
            batch.pos[i] = self.position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = 1
        if llama.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama_decode failed")
        self.position += len(ids)
        rows = [llama.llama_get_logits_ith(self.context, i) for i in range(len(ids))]
        return np.stack([np.ctypeslib.as_array(row, (self.vocabulary,)).copy() for row in rows])

    def tokenize(self, text):
        """The ids of a text, without bos and without special tokens."""
        ids = (ctypes.c_int32 * (len(text) + 8))()
        count = llama.llama_tokenize(self.vocab, text, len(text), ids, len(ids), False, False)
        return np.array(ids[:count], np.int32)


def losses(logits, tokens):
    """Negative log probability of each token after the first."""
    wide = logits[:-1].astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(wide).sum(axis=1))
    return log_sums - wide[np.arange(len(wide)), tokens[1:]]


def compare_quantised(path, expected):
    """Whether llama.cpp quantises a file to the tensors of another."""
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.nthread = 7, 1  # LLAMA_FTYPE_MOSTLY_Q8_0
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "q8_0.gguf")
        if llama.llama_model_quantize(path.encode(), made.encode(), ctypes.byref(params)) != 0:
            raise SystemExit("llama_model_quantize failed")
        theirs = {t.name: (t.tensor_type, t.data.tobytes()) for t in GGUFReader(made).tensors}
    ours = {t.name: (t.tensor_type, t.data.tobytes()) for t in GGUFReader(expected).tensors}
    same = sum(ours[name] == theirs.get(name) for name in ours)
    print(f"  quantised by llama.cpp: {same} of {len(theirs)} tensors are those of {expected}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("answers")
    parser.add_argument("--as-shipped", action="store_true")
    parser.add_argument("--q8_0")
    arguments = parser.parse_args()
    ours = load_file(arguments.answers)
    tokens, prompt, continuation = ours["tokens"], ours["prompt"], ours["continuation"]
    engine = Engine(arguments.gguf, max(len(tokens), len(prompt) + len(continuation)), arguments.as_shipped)

    engine.restart()
    logits = engine.append(tokens)
    spread = float(ours["logits"].std())
    difference = np.abs(logits - ours["logits"])
    same_first = int((logits.argmax(axis=1) == ours["logits"].argmax(axis=1)).sum())
    ours_loss, theirs_loss = losses(ours["logits"], tokens), losses(logits, tokens)
    print(f"{arguments.gguf}")
    print(f"  logits: standard deviation {spread:.3f}, differences at most {difference.max():.2e}, mean {difference.mean():.2e}")
    print(f"  most likely token the same for {same_first} of {len(tokens)}")
    print(f"  perplexity: aeth {np.exp(ours_loss.mean()):.6f}, llama.cpp {np.exp(theirs_loss.mean()):.6f}")

    engine.restart()
    row, made = engine.append(prompt)[-1], []
    for _ in continuation:
        made.append(int(row.argmax()))
        row = engine.append(made[-1:])[-1]
    same = int(np.cumprod(np.array(made) == continuation).sum())
    print(f"  greedy: the first {same} of {len(continuation)} tokens are the same")

    if "rows" in ours:
        total = 0.0
        for row in ours["rows"]:
            engine.restart()
            total += losses(engine.append(row), row).sum()
        mean = ours["losses"].mean()
        ratio = np.exp(total / ours["losses"].size - mean)
        print(f"  perplexity over {ours['losses'].size} tokens: aeth {np.exp(mean):.6f}, llama.cpp {np.exp(mean) * ratio:.6f}, ratio {ratio:.8f}")

    if "text" in ours:
        theirs = engine.tokenize(ours["text"].tobytes())
        equal = len(theirs) == len(ours["text_ids"]) and bool((theirs == ours["text_ids"]).all())
        print(f"  {len(ours['text'])} bytes become {len(theirs)} ids, {'the same' if equal else 'NOT the same'}")
    if arguments.q8_0:
        compare_quantised(arguments.gguf, arguments.q8_0)


main()
