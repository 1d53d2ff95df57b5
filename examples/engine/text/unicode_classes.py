"""Writes unicode_classes.inc: pip install unicodedata2==16.0.0; python3 unicode_classes.py > unicode_classes.inc

Unicode 16 is what tiktoken 0.14 and huggingface/tokenizers 0.23 classify by (fancy-regex; compared code by code).
"""
import unicodedata2 as u

# unicode_classes.hpp: the bits of a class.
LETTER, NUMBER, WHITE_SPACE, MARK, UPPER, LOWER, PUNCTUATION, SYMBOL = (1 << i for i in range(8))
WHITE = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
BLOCK = 128


def class_of(code):
    if 0xD800 <= code < 0xE000:
        return 0
    category = u.category(chr(code))
    bits = {"L": LETTER, "N": NUMBER, "M": MARK, "P": PUNCTUATION, "S": SYMBOL}.get(category[0], 0)
    if category in ("Lu", "Lt", "Lm", "Lo") or category[0] == "M":
        bits |= UPPER
    if category in ("Ll", "Lm", "Lo") or category[0] == "M":
        bits |= LOWER
    return bits | (WHITE_SPACE if code in WHITE else 0)


def rows(name, kind, values):
    print(f"constexpr {kind} {name}[{len(values)}] = {{")
    line = ""
    for value in values:
        text = f"{value}, "
        if len(line) + len(text) > 119:
            print(line.rstrip())
            line = ""
        line += text
    print(line.rstrip() + "\n};")


blocks, index = {}, []
for first in range(0, 0x110000, BLOCK):
    block = tuple(class_of(c) for c in range(first, first + BLOCK))
    index.append(blocks.setdefault(block, len(blocks)))
assert u.unidata_version == "16.0.0" and len(blocks) < 256
print(f"// Made by unicode_classes.py from Unicode {u.unidata_version}.")
print("// Which row of `rows` holds the classes of codes [128 i, 128 i + 128).")
rows("row_of", "unsigned char", index)
rows("rows", "unsigned char", [v for block in blocks for v in block])
