"""Writes unicode_case_tables.inc from Python's Unicode database: python3 unicode_case_tables.py > unicode_case_tables.inc"""
import sys
import unicodedata as u

CODES = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def rows(entries):
    line = ""
    for entry in entries:
        text = "{" + ", ".join(entry) + "}, "
        if len(line) + len(text) > 119:
            print(line.rstrip())
            line = ""
        line += text
    print(line.rstrip())


def runs(pairs):
    """[first, last, stride, delta]: codes at equal distances of 1 or 2 that move equally far."""
    result = []
    for code, delta in pairs:
        if result and result[-1][3] == delta:
            first, last, stride, _ = result[-1]
            step = code - last
            if step == stride or (first == last and step in (1, 2)):
                result[-1][1:3] = [code, step]
                continue
        result.append([code, code, 1, delta])
    return result


def table(name, change):
    changed = [(c, change(chr(c))) for c in CODES if change(chr(c)) != chr(c)]
    print(f"constexpr case_run {name}_runs[] = {{")
    rows((f"0x{a:X}", f"0x{b:X}", str(s), str(d)) for a, b, s, d in runs((c, ord(t) - c) for c, t in changed if len(t) == 1))
    print("};")
    print(f"constexpr case_text {name}_texts[] = {{")
    rows((f"0x{c:X}", "{" + ", ".join(f"0x{ord(x):X}" for x in t.ljust(3, chr(0))) + "}") for c, t in changed if len(t) > 1)
    print("};")


def ranges(codes):
    result = []
    for code in codes:
        if result and result[-1][1] == code - 1:
            result[-1][1] = code
        else:
            result.append([code, code])
    return result


def cased(text):  # the letter behind it is not the first of a word
    return (text + "b").title().endswith("b")


print(f"// Made by unicode_case_tables.py from Unicode {u.unidata_version}.")
print("// {first, last, stride, what is added}, and {code, the codes that it becomes}.")
table("upper", str.upper)
table("lower", str.lower)
table("title", str.title)
print("// {first, last} of the cased letters.")
print("constexpr code_range cased[] = {")
rows((f"0x{a:X}", f"0x{b:X}") for a, b in ranges(c for c in CODES if cased(chr(c))))
print("};")
print("// {first, last} of the codes that repr() writes as they are.")
print("constexpr code_range printable[] = {")
rows((f"0x{a:X}", f"0x{b:X}") for a, b in ranges(c for c in CODES if chr(c).isprintable()))
print("};")
