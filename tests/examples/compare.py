#!/usr/bin/env python3
"""compare.py SOURCE PROGRAM: the program prints exactly what the source's first comment says after `prints:`.

    //  Normalise one activation row.
    //  $ ./01_normalise_a_row          prints:
    //    ok, y[0] = 1.5
"""
import pathlib
import re
import subprocess
import sys


def promised(source):
    comment = re.match(r"(?://.*\n)+", source)
    lines = [re.sub(r"^//", "", line) for line in (comment.group(0) if comment else "").splitlines()]
    start = next((i for i, line in enumerate(lines) if line.rstrip().endswith("prints:")), None)
    if start is None:
        sys.exit("the first comment has no line that ends with 'prints:'")
    wanted = lines[start + 1:]
    indent = min((len(l) - len(l.lstrip()) for l in wanted if l.strip()), default=0)
    return [line[indent:].rstrip() for line in wanted]


source, program = sys.argv[1:3]
wanted = promised(pathlib.Path(source).read_text())
run = subprocess.run([program], capture_output=True, text=True, timeout=100)
got = [line.rstrip() for line in run.stdout.splitlines()]
if run.returncode != 0 or got != wanted or not wanted:
    print("promised:", *wanted, "printed:", *got, run.stderr, f"exit status {run.returncode}", sep="\n")
    sys.exit(1)
print(f"{len(got)} lines, as promised")
