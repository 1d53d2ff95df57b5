"""Writes unicode_nfc_tables.inc from Python's Unicode database: python3 unicode_nfc_tables.py > unicode_nfc_tables.inc"""
import sys
import unicodedata as u

CODES = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)


def ranges(values):
    """[(first, last, value)] of neighbouring codes with one value."""
    result = []
    for code, value in values:
        if result and result[-1][1] == code - 1 and result[-1][2] == value:
            result[-1][1] = code
        else:
            result.append([code, code, value])
    return result


def rows(entries):
    line = ""
    for entry in entries:
        text = "{" + ", ".join(entry) + "}, "
        if len(line) + len(text) > 119:
            print(line.rstrip())
            line = ""
        line += text
    print(line.rstrip())


decompositions = []
seconds = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
for c in CODES:
    mapping = u.decomposition(chr(c))
    if not mapping or mapping.startswith("<") or c in HANGUL:
        continue
    parts = [int(p, 16) for p in mapping.split()] + [0]
    composes = parts[1] != 0 and u.normalize("NFC", chr(parts[0]) + chr(parts[1])) == chr(c)
    if composes:
        seconds.add(parts[1])
    decompositions.append((c, parts[0], parts[1], composes))

print(f"// Made by unicode_nfc_tables.py from Unicode {u.unidata_version}.")
print("// {first, last, canonical combining class}, where it is not 0.")
print("constexpr class_range class_ranges[] = {")
rows((f"0x{a:X}", f"0x{b:X}", str(v)) for a, b, v in ranges((c, u.combining(chr(c))) for c in CODES if u.combining(chr(c))))
print("};")
print("// {code, first, second (0: none), whether the pair composes again}.")
print("constexpr decomposition decompositions[] = {")
rows((f"0x{c:X}", f"0x{a:X}", f"0x{b:X}", str(int(k))) for c, a, b, k in decompositions)
print("};")
print("// {first, last} of the codes whose presence may mean that a text is not in NFC.")
print("constexpr code_range suspects[] = {")
suspects = [(c, 0) for c in CODES if u.combining(chr(c)) or c in seconds or u.normalize("NFC", chr(c)) != chr(c)]
rows((f"0x{a:X}", f"0x{b:X}") for a, b, _ in ranges(suspects))
print("};")
