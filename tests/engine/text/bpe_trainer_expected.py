"""Writes what huggingface/tokenizers trains on the test's text: python3 tests/engine/text/bpe_trainer_expected.py

Needs tokenizers 0.23.3. The text is made here and in bpe_trainer_test.cpp by the same numbers.
"""
import pathlib

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SYLLABLES = ["ka", "lo", "mi", "the", "ing", "re", "n", "s", "er", "st", "12", "3", "é", "ß", "中", "文", "か", "한", "'s", ".", "+", "\n", "  ", "\t"]
PATTERNS = {
    "gpt2": None,
    "llama3": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "starcoder": [r"\p{N}", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
}


def text():
    state, words = 1, []
    for _ in range(6000):
        word = ""
        while True:
            state = (state * 1103515245 + 12345) % 2**31
            draw = state >> 16
            word += SYLLABLES[draw % len(SYLLABLES) * (draw >> 8) % len(SYLLABLES)]
            if draw % 3 == 0:
                break
        words.append(word)
    return " ".join(words)


def fingerprint(ids):
    h = 0xCBF29CE484222325
    for i in ids:
        h = (h ^ i) * 0x100000001B3 % 2**64
    return h


lines = ["// Made by bpe_trainer_expected.py: the merges of huggingface/tokenizers' BpeTrainer, and what its tokenizers make of the text."]
for name, splits in PATTERNS.items():
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=splits is None)
    tokenizer.pre_tokenizer = byte_level if splits is None else pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(s), "isolated") for s in splits] + [byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([text()], trainer)
    import json
    model = json.loads(tokenizer.to_str())["model"]
    ids = tokenizer.encode(text()).ids
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    lines.append(f'{{"{name}", {len(ids)}, 0x{fingerprint(ids):016X}u,')
    row = " "
    for i, m in enumerate(merges):
        piece = json.dumps(m, ensure_ascii=False) + (","if i + 1 < len(merges) else "")
        if len(row) + len(piece) > 110:
            lines.append(row)
            row = " "
        row += (" {" if i == 0 else " ") + piece
    lines.append(row + "}},")
(pathlib.Path(__file__).parent / "bpe_trainer_expected.inc").write_text("\n".join(lines) + "\n")
