"""Writes normal_forms.inc: pip install unicodedata2==16.0.0; python3 normal_forms.py > normal_forms.inc

Texts of a few characters each and their four normal forms: every kind of decomposition, marks in every order, Hangul, and
what new versions of Unicode brought.
"""
import random
import unicodedata2 as u

assert u.unidata_version == "16.0.0"
r = random.Random(16)
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and u.category(chr(c)) != "Cn"]
marks = [c for c in CODES if u.combining(chr(c))]
classes = {}
for c in marks:
    classes.setdefault(u.combining(chr(c)), []).append(c)
canonical = [c for c in CODES if u.decomposition(chr(c)) and not u.decomposition(chr(c)).startswith("<")]
compatible = [c for c in CODES if u.decomposition(chr(c)).startswith("<")]
hangul = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A7, 0x11C3), *range(0xAC00, 0xD7A4, 97)]
new = [c for c in CODES if u.decomposition(chr(c)) and c in (*range(0x105C0, 0x10600), *range(0x11380, 0x113D8), *range(0x16D60, 0x16D70), 0x1E030, 0x1CCD6)]
starters = [*range(0x41, 0x5B), *range(0x61, 0x7B), 0x3B1, 0x3B9, 0x627, 0x928, 0x9C7, 0xBC6, 0x1025, 0x30AB, 0x1B05]


def mark():
    return r.choice(classes[r.choice(list(classes))])


texts = [chr(c) for c in r.sample(canonical, 60) + r.sample(compatible, 60) + new]
for _ in range(120):
    texts.append("".join(map(chr, [r.choice(starters)] + [mark() for _ in range(r.randint(1, 4))] + [r.choice(canonical)])))
for _ in range(40):
    texts.append("".join(chr(r.choice(hangul)) for _ in range(r.randint(2, 5))))
for _ in range(40):
    texts.append("".join(chr(r.choice(r.choice((canonical, compatible, marks, starters)))) for _ in range(r.randint(2, 5))))


def literal(text):
    return 'U"' + "".join(f"\\U{ord(c):08X}" if ord(c) > 0xFFFF else f"\\u{ord(c):04X}" if ord(c) >= 0xA0 else c for c in text) + '"'


print("// Made by normal_forms.py from Unicode 16: a text, its NFC, NFD, NFKC and NFKD.")
for t in texts:
    line = "{"
    for x in (literal(x) for x in [t] + [u.normalize(f, t) for f in ("NFC", "NFD", "NFKC", "NFKD")]):
        if len(line) + len(x) > 116:
            print(line.rstrip())
            line = " "
        line += x + ", "
    print(line[:-2] + "},")
