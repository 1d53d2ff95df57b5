"""The texts on which ids are compared: every corpus of the shared data, and generated ones, the same for the same seed.

A text is (mode, bytes); mode 1: control tokens in it are tokens, 2: with the template's tokens, 4: with spans; any of them or none.
"""
import array
import gzip
import random
import struct

CONTROLS = ["<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>",
            "<|reserved_special_token_3|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|endofprompt|>", "<|im_start|>",
            "<|im_end|>", "<|object_ref_start|>", "<tool_call>", "</tool_call>", "<s>", "</s>", "<unk>", "[INST]", "[/INST]",
            "[TOOL_CALLS]", "<0x0A>", "<0xE4>", "<|pad|>", "<|padding|>", "▁", "▁▁", "Ġ", "Ċ"]
TRUNCATED = ["<|endoftext|", "<|endoftext", "|endoftext|>", "<|", "|>", "<|end", "< |endoftext|>", "<|ENDOFTEXT|>", "<|endoftext|>>",
             "<<|endoftext|>", "<|endoftext|><|endoftext|>", "[INST", "<s", "/s>", "<0x", "<|im_start|", "▁<s>"]
CONTRACTIONS = [q + c for q in ("'", "’") for c in ("s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "VE", "M", "LL", "D", "rE", "Ve",
                                                   "lL", "ſ", "x", "", "'", "s's", "res", "Llama", "Ts")]
SPACES = [" ", "  ", "   ", "\t", "\t\t", " \t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", " \r\n ", "\u00a0", "\u2009", "\u3000", "\u0085",
          "\u2028", "\u2029", "\u1680", "\u200b", "\ufeff", "\u180e", "\x0b", "\x0c", "\x1c", "\x1f", " \u00a0 ", "\u00a0\n", "        "]
CODE = ["def ", "return ", "self.", "if (", ") {\n", "}\n", "    ", "\t", "\n", "\n\n", "    }\n", "for i in range(", "):\n", " == ", " != ", "->", "::",
        "std::vector<", ">", ";\n", "//", "/* ", " */\n", "/**/", "http://", "https://x.org/a/b?c=d&e=%20", "#include <", "0x7fff", "1e-5", "127.0.0.1",
        "\"", "\\n", "\\u00e9", "${", "}", "&&", "||", "<<=", "...", "/", "//\n/", "*/\n\n", "camelCase", "HTMLParser", "snake_case_name", "__init__",
        "XMLHttpRequest2", "ABc", "aBC", "iPhone", "McDonald's", "DON'T", "'s", "…", "€", "a", "b1", "x+=1;", "\r\n", " \r\n", "#", "@", "~~~", "```\n"]
RUNS = ["a", " ", "\n", "_", "=", "-", "0", "7", "A", "é", "中", "👍", "\t", "\r\n", "ab", "aB", "<", "'", ".", "\u0301", "\u200d", "ǅ", " a", "1 ", "/", "*",
        "aaaaaaaaaaaaaaab", "\u3000", "ſ", "Ⅷ", "²"]
COMBINING = ["e\u0301", "\u00e9", "o\u0308\u0304", "\u1100\u1161\u11a8", "각", "\u0915\u094d\u0937\u093f", "\u0e01\u0e33", "a\u0323\u0307", "a\u0307\u0323",
             "\u2126", "\u212b", "\ufb01", "①", "Å", "\u0344", "\u0958", "\u2adc", "\U0001d15e", "👩\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "👍🏽", "🇩🇪",
             "1\ufe0f\u20e3", "\u200d", "\ufe0f", "\u0301", "\u064b\u0651", "\u05b0\u05bc", "ﷺ", "İ", "ß", "ẞ", "ǅ", "ʰ", "ª", "ー", "々", "ٱ"]
NUMBERS = ["0", "1", "12", "123", "1234", "12345", "1000000", "3.14159", "1,234,567", "٣٤٥", "१२३४", "½", "²³", "Ⅷ", "一二三", "①②③④", "𝟘𝟙𝟚𝟛", "0b101", "1_000", "１２３４"]
WORDS = ["the", "of", "Hello", "world", "I", "you", "they", "We", "there", "token", "naïve", "façade", "Straße", "ÉCOLE", "Ελληνικά", "русский", "МОСКВА", "日本語", "の",
         "中文字符", "한국어", "العربية", "עברית", "हिन्दी", "ไทย", "தமிழ்", "ქართული", "Հայերեն", "Việt", "İstanbul", "ǅungla", "aʰb", "x", "don", "CamelCase", "WORLD"]


# Assigned in Unicode 17, by which the candidate of tokenizers classifies; tenon, tiktoken 0.14 and tokenizers 0.23 have Unicode 16.
UNICODE_17 = {c for first, last in (
    (0x088F, 0x088F), (0x0C5C, 0x0C5C), (0x0CDC, 0x0CDC), (0x1ACF, 0x1AEB), (0x20C1, 0x20C1), (0xA7CE, 0xA7D4), (0xA7F1, 0xA7F1), (0xFBC3, 0xFBD2),
    (0xFD90, 0xFD91), (0xFDC8, 0xFDCE), (0x10940, 0x1095F), (0x10EC5, 0x10EC7), (0x10ED0, 0x10ED8), (0x10EFA, 0x10EFB), (0x11B60, 0x11B67),
    (0x11DB0, 0x11DE9), (0x16EA0, 0x16ED3), (0x16FF2, 0x16FF6), (0x187F8, 0x187FF), (0x18D09, 0x18DF2), (0x1CCFA, 0x1CCFC), (0x1CEBA, 0x1CEF0),
    (0x1E6C0, 0x1E6FF), (0x1F6D8, 0x1F6D8), (0x1F777, 0x1F77A), (0x1F8D0, 0x1F8D8), (0x1FA54, 0x1FA57), (0x1FA8A, 0x1FA8E), (0x1FAC8, 0x1FACD),
    (0x1FAEA, 0x1FAEF), (0x1FBFA, 0x1FBFA), (0x2B73A, 0x2B73F), (0x2CEA2, 0x2CEAD), (0x323B0, 0x33479)) for c in range(first, last + 1)}


def assigned_characters():
    """Code points of all planes that have any, but for surrogates and what Unicode 17 brought."""
    return [c for c in (*range(0x0, 0xD800), *range(0xE000, 0x20000), *range(0x2A6A0, 0x2A740), *range(0x2FA00, 0x2FB00),
                        *range(0x30000, 0x30100), *range(0xE0000, 0xE0200), *range(0xF0000, 0xF0100), *range(0x10FF80, 0x110000)) if c not in UNICODE_17]


def generated(megabytes=20, seed=1):
    draw = random.Random(seed)
    everything = [chr(c) for c in assigned_characters()]
    blocks = [everything[i:i + 128] for i in range(0, len(everything), 128)]
    many = [WORDS * 3, SPACES * 2, CODE, NUMBERS, CONTRACTIONS, COMBINING, CONTROLS, TRUNCATED]
    mixed = sum(many, [])

    def of_one_block(n):
        return "".join(draw.choices(draw.choice(blocks) + [" "] * 8 + ["a", "\n", "1", "."], k=n))

    def of_all_blocks(n):
        return "".join(draw.choices(everything, k=n))

    def words_between_spaces(n):
        spaces = draw.choices([" "] * 40 + SPACES, k=n // 6)
        return "".join(w + s for w, s in zip(draw.choices(WORDS + NUMBERS + COMBINING + CONTRACTIONS * 2, k=n // 6), spaces))

    def contracted(n):
        return "".join(a + b + c for a, b, c in zip(draw.choices(WORDS, k=n // 7), draw.choices(CONTRACTIONS, k=n // 7),
                                                    draw.choices([" "] * 5 + SPACES[:12] + ["", "x"], k=n // 7)))

    def runs(n):
        text = ""
        while len(text) < n:
            text += draw.choice(RUNS) * int(2 ** draw.uniform(0, 11)) + draw.choice(mixed)
        return text

    def letters(n):
        return "".join(draw.choices("etaoinshrdlucmfwypvbgkjqxzETAOIN    '.,\n", k=n))

    kinds = [(of_one_block, 3), (of_all_blocks, 2), (words_between_spaces, 4), (contracted, 2), (runs, 2), (letters, 2),
             (lambda n: "".join(draw.choices(CODE, k=n // 4)), 4), (lambda n: "".join(draw.choices(mixed, k=n // 4)), 5),
             (lambda n: "".join(draw.choices(CONTROLS + TRUNCATED + SPACES[:6] + ["a"], k=n // 8)), 2),
             (lambda n: "".join(draw.choices(COMBINING + [" ", "a", "1"], k=n // 2)), 2),
             (lambda n: "".join(draw.choices(NUMBERS + SPACES[:8] + [".", ",", "a"], k=n // 3)), 2)]
    texts = [(mode, t.encode()) for t in ["", *SPACES, *CONTRACTIONS, *CONTROLS, *TRUNCATED, *COMBINING, *NUMBERS] for mode in (0, 1, 2, 3)]
    size = sum(len(t) for _, t in texts)
    while size < megabytes * 1_000_000:
        make = draw.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        text = make(int(2 ** draw.uniform(2, 14))).encode()
        texts.append((draw.choice((0, 1, 1, 3)), text))
        size += len(text)
    return texts


def corpora(data):
    """All of them in pieces of 200 to 100,000 characters, none of which ends where a word ought to."""
    draw, texts = random.Random(2), []
    for path in sorted((data / "corpora").rglob("*")):
        if not path.is_file():
            continue
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        at = 0
        while at < len(text):
            n = int(200 * 500 ** draw.random())
            texts.append((1, text[at:at + n].encode()))
            at += n
    return texts


def damaged(texts, seed=4):
    """Each text with bytes in it that are no UTF-8, in mode 0."""
    draw, wrong = random.Random(seed), []
    pieces = [b"\x80", b"\xbf", b"\xc0\xaf", b"\xc3", b"\xe4\xb8", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xff", b"\xfe\xff"]
    for mode, text in texts:
        made = bytearray(text)
        for _ in range(1 + draw.randrange(1 + min(20, len(text) // 20))):
            at = draw.randrange(len(made) + 1)
            kind = draw.randrange(3)
            if kind == 0:
                made[at:at] = draw.choice(pieces)
            elif kind == 1:
                made[at:at + 1] = bytes([draw.randrange(0x80, 0x100)])
            else:
                del made[at:at + 1]  # a character, or a part of one
        wrong.append((0, bytes(made)))
    return wrong


def utf8_parts(text):
    """(what is UTF-8, the wrong bytes behind it) until the text's end."""
    while text:
        try:
            yield text.decode(), b""
            return
        except UnicodeDecodeError as e:
            yield text[:e.start].decode(), text[e.start:e.end]
            text = text[e.end:]


def frame_of_ids(ids):
    return struct.pack("=I", len(ids)) + array.array("i", ids).tobytes()


def frames(texts):
    """As ids_of_texts and ask_peer.py read them."""
    return b"".join(struct.pack("=IB", len(t), mode) + t for mode, t in texts)


def texts_in(data):
    """What `frames` was made of."""
    at = 0
    while at < len(data):
        size, mode = struct.unpack_from("=IB", data, at)
        yield mode, data[at + 5:at + 5 + size]
        at += 5 + size


def answers(data):
    """What they write, as a list of bytes with the ids of each text."""
    found, at = [], 0
    while at < len(data):
        end = at + 4 + 4 * int.from_bytes(data[at:at + 4], "little")
        found.append(data[at + 4:end])
        at = end
    return found
