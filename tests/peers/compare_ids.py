#!/usr/bin/env python3
"""compare_ids.py VOCABULARY PROGRAM FOLDER: tenon's ids of a vocabulary against those of tiktoken, tokenizers and sentencepiece,
spans against the two that have them, and what becomes of wrong bytes against the two that take them.

PROGRAM is ids_of_texts, FOLDER holds the environments and what is made for them. Texts: all of the shared data's corpora and 20 MB
that texts.py makes; tokenizers 0.23, which does 2 MB/s, gets a part. Exits with 77 where there is no data or no environment. A
difference is printed with the shortest text that shows it.

Environment: TENON_PEERS_MEGABYTES limits the corpora, and the generated texts to a third of that (for a quick look).
"""
import functools
import os
import pathlib
import struct
import subprocess
import sys
import time
import unicodedata

import environments
import spans
import texts as T
import vocabularies

SKIPPED = environments.SKIPPED
SLOW_BYTES = 4_000_000  # for tokenizers 0.23
SPAN_BYTES = 1_000_000  # this script goes through them token by token
WRONG_BYTES = 1_000_000
HERE = pathlib.Path(__file__).resolve().parent


class Broken(Exception):
    pass


def start(command, stdin):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True)
    if done.returncode:
        raise Broken(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[-600:]}")
    return done.stdout


def some_of(texts, limit):
    """Every nth text: about `limit` bytes."""
    step = max(1, round(sum(len(t) for _, t in texts) / limit))
    return texts[::step]


def shortest_difference(text, ours, theirs):
    """The text with parts left out while the two still differ; all ways to leave out a part of one size are asked at once."""
    def differs(candidates):
        data = T.frames(candidates)
        for c, a, b in zip(candidates, T.answers(ours(data)), T.answers(theirs(data))):
            if a != b:
                return c
        return None
    mode, raw = text
    characters = raw.decode(errors="surrogateescape")
    for _ in range(60):
        smaller = None
        size = max(1, len(characters) // 2)
        while not smaller and size:
            starts = range(0, len(characters), size)
            found = differs([(mode, (characters[:i] + characters[i + size:]).encode(errors="surrogateescape")) for i in list(starts)[:4000]])
            smaller = found and found[1].decode(errors="surrogateescape")
            size //= 2
        if smaller is None:
            break
        characters = smaller
    return mode, characters


def once(ask):
    """The same question as the last one is not asked again."""
    last = {}

    def asked(stdin):
        if stdin not in last:
            last.clear()
            last[stdin] = ask(stdin)
        return last[stdin]
    return asked


def fit_for(peer, texts):
    """sentencepiece never takes control tokens in a text for tokens."""
    return [(mode & 2, text) for mode, text in texts] if peer == "sentencepiece" else texts


def of_old_characters(texts):
    """Without the characters that Unicode 3.2 lacks."""
    new = dict.fromkeys(c for c in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(c)) == "Cn")
    return [(mode, text.decode().translate(new).encode()) for mode, text in texts]


def ids_in(answer):
    return list(struct.unpack(f"={len(answer) // 4}i", answer))


def compare(what, texts, ours, theirs, numbers=1):
    """Prints a line; whether they are equal. `numbers`: of each id."""
    data = T.frames(texts)
    began = time.monotonic()
    ours_all, between = ours(data), time.monotonic()
    theirs_all = theirs(data)
    size = sum(len(t) for _, t in texts) / 1e6
    times = f"{between - began:.1f} s and {time.monotonic() - between:.1f} s"
    if ours_all == theirs_all:
        print(f"{what}: equal, {len(texts)} texts, {size:.1f} MB, {(len(ours_all) // 4 - len(texts)) // numbers} ids ({times})", flush=True)
        return True
    a, b = T.answers(ours_all), T.answers(theirs_all)
    different = sorted((i for i in range(len(texts)) if a[i] != b[i]), key=lambda i: len(texts[i][1]))
    print(f"{what}: {len(different)} of {len(texts)} texts differ ({times})")
    for i in different[:int(os.environ.get("TENON_PEERS_SHOW", "1"))]:
        mode, characters = shortest_difference(texts[i], ours, theirs)
        one = T.frames([(mode, characters.encode(errors="surrogateescape"))])
        print(f"  mode {mode}, {ascii(characters)}\n  tenon {ids_in(ours(one)[4:])}\n  peer  {ids_in(theirs(one)[4:])}", flush=True)
    return False


def compare_spans(what, texts, ours, theirs, rules=spans.Rules()):
    """Where the two differ by intention: spans.py."""
    texts = [(mode | 4, text) for mode, text in texts if rules.lacks.isdisjoint(text)]
    return compare(f"{what}, spans", texts, spans.asked_in_common(ours, rules, False), spans.asked_in_common(theirs, rules, True), 3)


def ids_before(ours, theirs):
    """`ours`, as far as `theirs` goes."""
    def asked(stdin):
        return b"".join(T.frame_of_ids(ids_in(a)[:len(b) // 4])
                        for a, b in zip(T.answers(ours(stdin)), T.answers(theirs(stdin))))
    return asked


def peers_of(v, data, folder):
    """(name and version, environment, PEER, FILE, whether it is quick)"""
    file = vocabularies.json_file(v, data, folder / "json")
    if v.ranks:
        yield "tiktoken", "stable", "tiktoken", "-", True
    if v.sentencepiece:
        yield "sentencepiece", "stable", "sentencepiece", "-", True
    if file and not v.gguf:  # it refuses those families: bytes that are not there, steps behind ByteLevel, their expressions
        yield "tokenizers candidate", "candidate", "tokenizers", file, True
    if file:
        yield "tokenizers", "stable", "tokenizers", file, False


FORMS = {"tiktoken": ["ranks"], "sentencepiece": ["SentencePiece"], "tokenizers": ["tokenizer.json", "vocab.json", "GGUF"]}


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    v, program, folder = vocabularies.by_name(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    data = vocabularies.data_folder()
    if not data:
        print("skipped: no shared data (TENON_SHARED_DATA)")
        return SKIPPED
    files = dict(vocabularies.our_files(v, data, folder / "json"))
    for path in files.values():
        start([program, path], b"")
    if not all(environments.is_there(folder, e) for e in environments.REQUIREMENTS):
        print("skipped: no environments of the other tokenizers (environments.py says why)")
        return SKIPPED
    megabytes = float(os.environ.get("TENON_PEERS_MEGABYTES", "0"))
    read, made = T.corpora(data), T.generated(min(20, megabytes / 3) if megabytes else 20)
    if megabytes:
        read = some_of(read, megabytes * 1e6)
    equal = True
    for name, environment, peer, file, quick in peers_of(v, data, folder):
        texts = read + made if quick else some_of(read, SLOW_BYTES / 2) + some_of(made, SLOW_BYTES / 2)
        texts = fit_for(peer, texts)
        if environment == "candidate":
            texts = [t for t in texts if not any(alone.encode() in t[1] for alone in v.candidate_alone)]
        if environment == "stable" and v.stable_is_old:
            texts = of_old_characters(texts)
        python = environments.python_of(folder, environment)
        ask = lambda of, stdin: start([python, HERE / "ask_peer.py", of, v.name, data, file], stdin)
        theirs = once(functools.partial(ask, peer))
        few = some_of(texts, SPAN_BYTES)
        wrong = T.damaged(some_of(texts, WRONG_BYTES))
        for form in FORMS[peer]:
            if form not in files:
                continue
            what, ours = f"{v.name}, {form}, {name}", functools.partial(lambda path, stdin: start([program, path], stdin), files[form])
            equal = compare(what, texts, ours, theirs) and equal
            if environment == "stable" and peer == "tokenizers" and form == "tokenizer.json":
                equal = compare_spans(what, few, ours, theirs, spans.rules_of_json(file)) and equal
            if peer == "sentencepiece":  # it gives none with the template's tokens
                equal = compare_spans(what, [(0, text) for _, text in few], ours, theirs) and equal
                equal = compare_spans(f"{what}, wrong bytes", wrong, ours, theirs) and equal
            if peer == "tiktoken":
                equal = compare(f"{what}, wrong bytes", wrong, ours, theirs) and equal
                own = once(functools.partial(ask, "tiktoken_bytes"))
                equal = compare(f"{what}, words in front of wrong bytes", wrong, ids_before(ours, own), own) and equal
    return 0 if equal else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as why:
        print(f"failed: {why}")
        sys.exit(1)
