"""Texts for bench/tokenizer/compare: 64 inputs of about 10 kB each of English prose, Chinese prose and code.

English: the held-out novels of english_novels; Chinese: Hong lou meng; code: HumanEval's prompts, solutions and tests (Python), and
this repository's sources (C++) up to 64. No input ends in white space, where tiktoken's patterns differ from others by intention.
"""
import gzip
import json
import pathlib
import struct

COUNT, BYTES = 64, 10_000


def spread(text, count=COUNT):
    """`count` pieces of about BYTES bytes, evenly over the text."""
    raw = text.replace("<|endoftext|>", "").encode()  # between novels
    step = max(BYTES, (len(raw) - BYTES) // max(1, count - 1))
    pieces = [raw[at:at + BYTES].decode(errors="ignore").strip() for at in range(0, len(raw) - BYTES + 1, step)]
    return pieces[:count]


def code(data, root):
    lines = gzip.decompress((data / "corpora/HumanEval.jsonl.gz").read_bytes()).decode().splitlines()
    tasks = "\n\n".join(t["prompt"] + t["canonical_solution"] + t["test"] for t in map(json.loads, filter(None, lines)))
    sources = "".join(p.read_text("utf-8") for folder in ("include", "examples/engine") for p in sorted((root / folder).rglob("*.hpp")))
    python = spread(tasks)
    return python + spread(sources, COUNT - len(python))


def texts_of(data, root):
    return {
        "english": spread(gzip.decompress((data / "corpora/english_novels_1839_1900.valid.txt.gz").read_bytes()).decode()),
        "chinese": spread((data / "corpora/zh_hongloumeng.txt").read_text("utf-8")),
        "code": code(data, root),
    }


def write(data, root, folder):
    """{name: path} of files that speed.cpp and time_peer.py read."""
    paths = {}
    for name, texts in texts_of(pathlib.Path(data), pathlib.Path(root)).items():
        paths[name] = folder / f"{name}.texts"
        paths[name].write_bytes(b"".join(struct.pack("=I", len(t.encode())) + t.encode() for t in texts))
    return paths
