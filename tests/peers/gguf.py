"""The metadata of a GGUF file that vocabularies.py wants: tokenizer.ggml.tokens, token_type and merges."""
import struct

SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
CONTROL, USER = 3, 4  # of token_type


def metadata(raw):
    """{key: value} of version 2 or 3, little-endian."""
    if raw[:4] != b"GGUF":
        raise ValueError("no GGUF file")
    at = 24

    def take(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, raw, at)
        at += struct.calcsize("<" + form)
        return value

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return raw[at - size:at].decode()

    def value(kind):
        nonlocal at
        if kind == TEXT:
            return text()
        if kind != LIST:
            return take(SIZES[kind])
        inner, count = take("I"), take("Q")
        if inner in (TEXT, LIST):
            return [value(inner) for _ in range(count)]
        form = f"<{count}{SIZES[inner]}"
        at += struct.calcsize(form)
        return list(struct.unpack_from(form, raw, at - struct.calcsize(form)))

    (count,) = struct.unpack_from("<Q", raw, 16)
    return {text(): value(take("I")) for _ in range(count)}
