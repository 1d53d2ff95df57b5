"""Writes unicode_forms.inc: pip install unicodedata2==16.0.0; python3 unicode_forms.py > unicode_forms.inc"""
import unicodedata
import unicodedata2 as u

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)
assert u.unidata_version == "16.0.0"


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
        text = ("{" + ", ".join(entry) + "}, ") if isinstance(entry, tuple) else entry + ", "
        if len(line) + len(text) > 119:
            print(line.rstrip())
            line = ""
        line += text
    print(line.rstrip() + "\n};")


def lower(c):
    """The small letters of a code as Unicode 16 has them, also where this Python's own database is older."""
    if unicodedata.category(chr(c)) == "Cn" and u.category(chr(c)) == "Lu":
        try:
            return u.lookup(u.name(chr(c)).replace("CAPITAL", "SMALL"))
        except KeyError:
            return chr(c)
    return chr(c).lower()


canonical, compatible, pool = [], [], []
seconds = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
for c in CODES:
    mapping = u.decomposition(chr(c))
    if not mapping or c in HANGUL:
        continue
    if mapping.startswith("<"):
        parts = [int(p, 16) for p in mapping.split()[1:]]
        last = compatible[-1] if compatible else [0, 0, 0, 0]
        if compatible and last[1] == c - 1 and last[3] == len(parts):
            last[1] = c
        else:
            compatible.append([c, c, len(pool), len(parts)])
        pool += parts
        continue
    parts = [int(p, 16) for p in mapping.split()] + [0]
    composes = parts[1] != 0 and u.normalize("NFC", chr(parts[0]) + chr(parts[1])) == chr(c)
    if composes:
        seconds.add(parts[1])
    canonical.append((c, parts[0], parts[1], composes))

print(f"// Made by unicode_forms.py from Unicode {u.unidata_version}.")
print("// {first, last, canonical combining class}, where it is not 0.")
print("constexpr class_range class_ranges[] = {")
rows((f"0x{a:X}", f"0x{b:X}", str(v)) for a, b, v in ranges((c, u.combining(chr(c))) for c in CODES if u.combining(chr(c))))
print("// {code, first, second (0: none), whether the pair composes again}.")
print("constexpr decomposition decompositions[] = {")
rows((f"0x{c:X}", f"0x{a:X}", f"0x{b:X}", str(int(k))) for c, a, b, k in canonical)
print("// {first, last, place, length}: code c is compatible with the `length` codes at compatible_codes[place + (c - first) length].")
print("constexpr compatible_range compatible_ranges[] = {")
rows((f"0x{a:X}", f"0x{b:X}", str(p), str(n)) for a, b, p, n in compatible)
print("constexpr char32_t compatible_codes[] = {")
rows(f"0x{c:X}" for c in pool)
print("// {first, last} of the codes whose presence may mean that a text is not in NFC.")
print("constexpr code_range suspects[] = {")
suspects = [(c, 0) for c in CODES if u.combining(chr(c)) or c in seconds or u.normalize("NFC", chr(c)) != chr(c)]
rows((f"0x{a:X}", f"0x{b:X}") for a, b, _ in ranges(suspects))
print("// {first, last, step, difference}: every step-th code from first to last has its small letter at that difference.")
print("constexpr case_range case_ranges[] = {")
cases = []
for c in CODES:
    small = lower(c)
    if small == chr(c) or c == 0x130:  # I with a dot becomes two
        assert len(small) == 1 or c == 0x130
        continue
    d = ord(small) - c
    last = cases[-1] if cases else None
    if last and last[3] == d and (c - last[1] == last[2] or (last[0] == last[1] and c - last[1] <= 2)):
        last[2], last[1] = c - last[1], c
    else:
        cases.append([c, c, 1, d])
rows((f"0x{a:X}", f"0x{b:X}", str(s), str(d)) for a, b, s, d in cases)
