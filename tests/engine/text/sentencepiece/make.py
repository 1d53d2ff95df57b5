"""Trains the two small models beside this file and writes cases.json, texts with SentencePiece's ids for them and for others:

pip install sentencepiece==0.2.3
python3 make.py ENGLISH.txt CHINESE.txt NAME=OTHER.model ...

The committed ones were made of tinyshakespeare.txt, the first chapter of the Dream of the Red Chamber, and Mistral's models.
"""
import json
import os
import pathlib
import random
import sys

import sentencepiece as spm

assert spm.__version__ == "0.2.3"
HERE = pathlib.Path(__file__).parent
english = pathlib.Path(sys.argv[1]).read_text(encoding="utf8")[:200_000]
chinese = pathlib.Path(sys.argv[2]).read_text(encoding="utf8")[:8_000]
sentences = [line for line in (english + chinese).splitlines() if line.strip()]

# Rules of several characters, some that begin others, some that give nothing, and kinds of spaces.
rules = {"\uFB01": "fi", "\u00BD": "1/2", "e\u0301": "\u00E9", "\u3000": " ", "\u00A0": " ", "\u200B": "", "\u2026": "...",
         "A\u030A": "\u00C5", "\u212B": "\u00C5", "\t": " ", "\u00A8": " \u0308", "Q": "q", "Q\u0301\u0302": "x"}
others = [(name, str(pathlib.Path(path).resolve())) for name, path in (a.split("=") for a in sys.argv[3:])]
os.chdir(HERE)  # the models say where the rules lay
tsv = pathlib.Path("rules.tsv")
tsv.write_text("".join(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n"
                       for a, b in rules.items()))
common = dict(sentence_iterator=None, normalization_rule_tsv=str(tsv), minloglevel=2, num_threads=1, character_coverage=0.99)
for name, options in {
    "unigram": dict(model_type="unigram", vocab_size=1000, user_defined_symbols=["<user>", "<user>s", "[a b]"]),
    "bpe": dict(model_type="bpe", vocab_size=900, byte_fallback=True, remove_extra_whitespaces=False, split_by_whitespace=False,
                user_defined_symbols=["<user>", "\uFB01n"]),
}.items():
    with open(f"{name}.model", "wb") as file:
        spm.SentencePieceTrainer.train(**{**common, "sentence_iterator": iter(sentences)}, model_writer=file, **options)
tsv.unlink()

r = random.Random(3)
odd = ["", " ", "  ", "   a", "a   ", "\u2581", "\u2581\u2581a", "\u2581 \u2581", "\n", "\r\n\t", "\0", "\x1f", "\u3000a\u3000", "\uFB01n\uFB01",
       "e\u0301e", "A\u030A", "Q\u0301", "Q\u0301\u0302", "\u00A8", "a \u00A8 b", "\u200B", "\u200Ba\u200B", "\u00BD", "<user>", "a<user>sb <user", "[a b]",
       "<s>a</s>", "<unk>", "<0x41>", "a" * 60, "_" * 40, " " * 50, "3" * 30 + "." * 30, "\U0001F431\U0001F1FA\U0001F1F8", "\uFFFD", "\u00E9" * 9,
       "\U000F5A8B\u0378", "\u7D05\u6A13\u5922", "\uD55C\uAD6D\uC5B4", "def f(x):\n    return x  # \u2026", "http://a.b/c?d=e&f=1"]
words = english.split()[:3000]
for _ in range(40):
    odd.append("".join(r.choice((" ", "", "  ", " ")) + r.choice((r.choice(words), r.choice(odd), r.choice(chinese))) for _ in range(6)))
texts = odd + [english[i:i + 200] for i in range(0, 1600, 200)] + [chinese[:200]]
result = {"sentencepiece": spm.__version__, "texts": texts}
for name, path in [("unigram", "unigram.model"), ("bpe", "bpe.model")] + others:
    model = spm.SentencePieceProcessor(model_file=path)
    result[name] = [model.encode(t) for t in texts]
lines = ",\n".join(json.dumps(k) + ": " + json.dumps(v, separators=(",", ":")) for k, v in result.items())
pathlib.Path("cases.json").write_text("{" + lines + "}\n")
