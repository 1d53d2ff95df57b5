"""The vocabularies on which ids are compared, and the files that each peer takes. A line of VOCABULARIES adds one.

tokenizer.json of ranks is made as transformers converts them (every division of a token into two tokens is a merge, ordered by
the token's rank); tiktoken gets the ranks themselves.
"""
import base64
import dataclasses
import json
import os
import pathlib
import sys
import typing

import gguf

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
          r"|\s+(?!\S)|\s")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Paths are below the shared data's tokenizers/."""
    name: str
    ranks: typing.Optional[str] = None  # tiktoken's file, with
    pattern: str = ""  # the pattern that tiktoken cuts words with
    json_pattern: str = ""  # and tokenizer.json where that differs; "ByteLevel": its own
    controls: tuple = ()  # (text, id) of control tokens
    before: tuple = ()  # ids that the template puts in front of a text
    whole_words: bool = True  # a word that is a token stays whole ("ignore_merges")
    json: typing.Optional[str] = None  # a tokenizer.json
    vocab: typing.Optional[str] = None  # a vocab.json, with
    merges: typing.Optional[str] = None  # its merges.txt; added_tokens.json may lie beside it
    nfc: bool = False
    sentencepiece: typing.Optional[str] = None  # a SentencePiece .model
    gguf: typing.Optional[str] = None  # a vocabulary in GGUF, with
    steps: tuple = ()  # the pre_tokenizer of the family's own tokenizer.json
    stable_is_old: bool = False  # its step has tables of an old Unicode in tokenizers 0.23, which gets old characters only
    candidate_alone: tuple = ()  # texts with these are not for the candidate: it differs there from all others


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTES_ALONE = {**BYTE_LEVEL, "use_regex": False}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def digits(each):
    return {"type": "Digits", "individual_digits": each}


# As they stand in the tokenizer.json of tiiuae/falcon-7b, bigcode/starcoder and deepseek-ai/deepseek-coder.
FALCON = ({"type": "Punctuation", "behavior": "Contiguous"}, BYTE_LEVEL, digits(False), split("[0-9][0-9][0-9]"))
STARCODER = (digits(True), BYTE_LEVEL)
DEEPSEEK_CODER = (split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), digits(True), BYTES_ALONE)


def llama3_controls():
    names = {0: "<|begin_of_text|>", 1: "<|end_of_text|>", 6: "<|start_header_id|>", 7: "<|end_header_id|>", 9: "<|eot_id|>"}
    spare = (f"<|reserved_special_token_{i}|>" for i in range(256))
    return tuple((names.get(i) or next(spare), 128000 + i) for i in range(256))


VOCABULARIES = [
    Vocabulary("gpt2", ranks="tiktoken/r50k_base.tiktoken", pattern=GPT2, json_pattern="ByteLevel", whole_words=False,
               controls=(("<|endoftext|>", 50256),)),
    Vocabulary("cl100k", ranks="tiktoken/cl100k_base.tiktoken", pattern=CL100K, json_pattern=LLAMA3, controls=(
        ("<|endoftext|>", 100257), ("<|fim_prefix|>", 100258), ("<|fim_middle|>", 100259), ("<|fim_suffix|>", 100260),
        ("<|endofprompt|>", 100276))),
    Vocabulary("o200k", ranks="tiktoken/o200k_base.tiktoken", pattern=O200K,
               candidate_alone=("'\u017f",),  # (?i:'s) at the end of a word: 1.0.0rc3 does not take the long s for one
               controls=(("<|endoftext|>", 199999), ("<|endofprompt|>", 200018))),
    Vocabulary("llama3", ranks="llama3/tokenizer.model", pattern=LLAMA3, controls=llama3_controls(), before=(128000,)),
    Vocabulary("gpt2_merges", vocab="gpt2/encoder.json", merges="gpt2/vocab.bpe", pattern="ByteLevel", whole_words=False,
               controls=(("<|endoftext|>", 50256),)),
    Vocabulary("qwen2", vocab="qwen2/vocab.json", merges="qwen2/merges.txt", pattern=QWEN2, whole_words=False, nfc=True, stable_is_old=True),
    Vocabulary("gpt_neox", json="gpt-neox-20b/tokenizer.json", stable_is_old=True),
    Vocabulary("minimind", json="minimind/tokenizer.json"),
    Vocabulary("starcoder", gguf="ggml-vocab/ggml-vocab-starcoder.gguf", steps=STARCODER),
    Vocabulary("refact", gguf="ggml-vocab/ggml-vocab-refact.gguf", steps=STARCODER),
    Vocabulary("falcon", gguf="ggml-vocab/ggml-vocab-falcon.gguf", steps=FALCON, stable_is_old=True),
    Vocabulary("deepseek_coder", gguf="ggml-vocab/ggml-vocab-deepseek-coder.gguf", steps=DEEPSEEK_CODER),
    Vocabulary("mistral_v3_json", json="mistral/hf-v0.3/tokenizer.json"),
    Vocabulary("mistral_v1", sentencepiece="mistral/tokenizer.model.v1"),
    Vocabulary("mistral_v3", sentencepiece="mistral/mistral_instruct_tokenizer_240323.model.v3"),
]


def by_name(name):
    return next(v for v in VOCABULARIES if v.name == name)


def data_folder():
    """The shared data: TENON_SHARED_DATA, or beside the repository; None where there is none."""
    folder = pathlib.Path(os.environ.get("TENON_SHARED_DATA") or pathlib.Path(__file__).resolve().parents[2] / ".." / "shared" / "data")
    return folder if (folder / "tokenizers").is_dir() else None


def ranks_of(path):
    """{bytes: rank}"""
    lines = (line.split() for line in pathlib.Path(path).read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def byte_alphabet():
    """GPT-2's: a character for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return [chr(b) if b in kept else chr(256 + others.index(b)) for b in range(256)]


def merges_of(ranks):
    """transformers' TikTokenConverter: of each token every division into two tokens, the one of earlier tokens first."""
    merges = []
    for token in sorted(ranks, key=ranks.get):
        found = [(ranks[token[:i]], ranks[token[i:]], token[:i], token[i:])
                 for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        merges += [(left, right) for _, _, left, right in sorted(found)]
    return merges


def added(id, content, special=True):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": not special,
            "special": special}


def template(before, added_tokens):
    """The tokens of these ids in front of every text."""
    names = {t["id"]: t["content"] for t in added_tokens}
    return {"type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "single": [{"SpecialToken": {"id": names[i], "type_id": 0}} for i in before] + [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {names[i]: {"id": names[i], "ids": [i], "tokens": [names[i]]} for i in before}}


def byte_level_json(vocab, merges, pattern, added_tokens, whole_words, normalizer=None, before=()):
    """`pattern`: an expression, "ByteLevel" or the steps of a sequence."""
    steps = list(pattern) if isinstance(pattern, tuple) else [BYTE_LEVEL] if pattern == "ByteLevel" else [split(pattern), BYTES_ALONE]
    words = steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens, "normalizer": normalizer,
            "pre_tokenizer": words, "post_processor": template(before, added_tokens) if before else None,
            "decoder": BYTE_LEVEL,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": whole_words,
                      "vocab": vocab, "merges": merges}}


def make_json(v, data):
    """The tokenizer.json of a vocabulary that comes as something else."""
    if v.ranks:
        alphabet, ranks = byte_alphabet(), ranks_of(data / "tokenizers" / v.ranks)
        spelled = {token: "".join(alphabet[b] for b in token) for token in ranks}
        vocab = {spelled[t]: rank for t, rank in ranks.items()}
        # tokenizers numbers added tokens that are not in "vocab" from its end on, so where ids are left out they have to be in it.
        if v.controls[0][1] != len(vocab):
            vocab.update(v.controls)
        return byte_level_json(vocab, [[spelled[a], spelled[b]] for a, b in merges_of(ranks)], v.json_pattern or v.pattern,
                               [added(id, content) for content, id in v.controls], v.whole_words, before=v.before)
    if v.gguf:
        of = gguf.metadata((data / "tokenizers" / v.gguf).read_bytes())
        tokens, kinds = of["tokenizer.ggml.tokens"], of["tokenizer.ggml.token_type"]
        before = (of["tokenizer.ggml.bos_token_id"],) if of.get("tokenizer.ggml.add_bos_token") else ()
        return byte_level_json({t: i for i, t in enumerate(tokens)}, [m.split(" ") for m in of["tokenizer.ggml.merges"]], v.steps,
                               [added(i, t, kinds[i] == gguf.CONTROL) for i, t in enumerate(tokens) if kinds[i] in (gguf.CONTROL, gguf.USER)],
                               False, before=before)
    path = data / "tokenizers" / v.vocab
    merges = [line.split(" ") for line in (data / "tokenizers" / v.merges).read_text("utf-8").split("\n")
              if line and not line.startswith("#version")]
    beside = path.with_name("added_tokens.json")
    controls = dict(v.controls) or json.loads(beside.read_text("utf-8"))
    return byte_level_json(json.loads(path.read_text("utf-8")), merges, v.pattern,
                           [added(id, content, content.startswith("<|")) for content, id in sorted(controls.items(), key=lambda c: c[1])],
                           v.whole_words, {"type": "NFC"} if v.nfc else None)


def json_file(v, data, folder):
    """Its path; made in `folder` where the vocabulary comes as something else. None: there is no such form."""
    if v.json:
        return data / "tokenizers" / v.json
    if not v.ranks and not v.vocab and not v.gguf:
        return None
    path = pathlib.Path(folder) / f"{v.name}.json"
    if not path.exists() or path.stat().st_mtime < pathlib.Path(__file__).stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(make_json(v, data), ensure_ascii=False), "utf-8")
        half.replace(path)
    return path


def our_files(v, data, folder):
    """(what, path) of each form that tenon loads."""
    files = [("ranks", data / "tokenizers" / v.ranks)] if v.ranks else []
    if v.sentencepiece:
        files.append(("SentencePiece", data / "tokenizers" / v.sentencepiece))
    if path := json_file(v, data, folder):
        files.append(("tokenizer.json", path))
    if v.vocab:
        files.append(("vocab.json", data / "tokenizers" / v.vocab))
    if v.gguf:
        files.append(("GGUF", data / "tokenizers" / v.gguf))
    return files


if __name__ == "__main__":  # for CMake
    sys.stdout.write(";".join(v.name for v in VOCABULARIES))
