"""Spans of tokens in two tokenizers, brought to where they mean the same.

tenon's are the bytes of the input that a token stands for. tokenizers' offsets are characters; sentencepiece's are bytes. Where they
differ by intention:

- a token inside a character: tokenizers gives the whole character, and so does ask_peer.py for sentencepiece;
- what a normaliser composed: tokenizers gives the first of the characters that became one, tenon all of them;
- ByteLevel's trim_offsets: tokenizers leaves out spaces at a token's ends;
- a token of the space that is put in front of a text: it stands for nothing, tokenizers gives the first character;
- bytes that no token of the vocabulary has are left out: tokenizers counts on as if they had not been there, so texts that have
  one are not compared.
"""
import bisect
import dataclasses
import json
import pathlib
import unicodedata

import texts as T
import vocabularies

SPACE = "▁"


@dataclasses.dataclass(frozen=True)
class Rules:
    composes: bool = False
    trims: bool = False
    prepended: int = -1  # the id of a space alone, where one is put in front
    lacks: frozenset = frozenset()


def rules_of_json(path):
    of = json.loads(pathlib.Path(path).read_text("utf-8"))
    normalizer, after, vocab = of["normalizer"] or {}, of["post_processor"] or {}, of["model"]["vocab"]
    byte_level = "ByteLevel" in json.dumps(of["pre_tokenizer"])
    return Rules(composes=normalizer.get("type") == "NFC", trims=bool(after.get("type") == "ByteLevel" and after["trim_offsets"]),
                 prepended=-1 if byte_level else vocab.get(SPACE, -1),
                 lacks=frozenset(b for b, c in enumerate(vocabularies.byte_alphabet()) if c not in vocab) if byte_level else frozenset())


# What may be composed with the character in front of it.
SECOND = {decomposed[1] for decomposed in (unicodedata.normalize("NFD", chr(c)) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
          if len(decomposed) > 1} | {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}


def ends_of_characters(text, composes=False):
    """0 and the byte behind each character or wrong byte; if `composes`, behind each with all that may be composed with it."""
    ends, at = [0], 0
    for c in text.decode(errors="surrogateescape"):
        if composes and len(ends) > 1 and (unicodedata.combining(c) or c in SECOND):
            ends.pop()
        at += len(c.encode(errors="surrogateescape"))
        ends.append(at)
    return ends


def outward(ends, span):
    begin, end = span
    first = ends[bisect.bisect_right(ends, begin) - 1]
    return (first, first) if begin == end else (first, ends[bisect.bisect_left(ends, end)])


def trimmed(text, span):
    begin, end = span
    while begin < end and text[begin] == 0x20:
        begin += 1
    while begin < end and text[end - 1] == 0x20:
        end -= 1
    return begin, end


def parts_of(answer):
    """(ids, spans) of what ids_of_texts or ask_peer.py wrote in mode 4."""
    values = memoryview(answer).cast("i").tolist()
    n = len(values) // 3
    return values[:n], list(zip(values[n::2], values[n + 1::2]))


def common(rules, text, answer, of_peer):
    """(id, begin, end) of each token, as both have them."""
    ids, spans = parts_of(answer)
    ends = ends_of_characters(text)
    composed = ends_of_characters(text, True) if rules.composes else ends
    spaced = text.startswith((b" ", SPACE.encode()))  # so none is put in front
    found = []
    for id, span in zip(ids, spans):
        if of_peer and id == rules.prepended and not spaced and span[0] == 0:
            span = 0, 0
        span = outward(ends, span)
        found.append((id, *outward(composed, trimmed(text, span) if rules.trims else span)))
    return found


def asked_in_common(ask, rules, of_peer):
    """`ask`, whose answers are triples of `common`."""
    def asked(stdin):
        texts = (text for _, text in T.texts_in(stdin))
        return b"".join(T.frame_of_ids([v for triple in common(rules, text, answer, of_peer) for v in triple])
                        for text, answer in zip(texts, T.answers(ask(stdin))))
    return asked
