#!/usr/bin/env python3
"""compare.py PAGE PROGRAM [--update]: the page has what the program prints, in the block behind the line `$ build/NAME`."""
import pathlib
import re
import subprocess
import sys

page, program = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
run = subprocess.run([program], capture_output=True, text=True, timeout=280)
printed = "\n".join(line.rstrip() for line in run.stdout.splitlines())
text = page.read_text()
block = re.compile(r"(```\n\$ build/" + re.escape(program.name) + r"\n)(.*?)(\n```)", re.S)
found = block.search(text)
if not found:
    sys.exit(f"{page.name} has no block that begins with '$ build/{program.name}'")
if "--update" in sys.argv:
    page.write_text(text[:found.start(2)] + printed + text[found.end(2):])
elif found.group(2) != printed:
    print(printed)
    sys.exit(f"{page.name} shows something else; {pathlib.Path(__file__).name} ... --update refreshes it")
