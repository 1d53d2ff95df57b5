"""Sources are as clang-format leaves them. Only its version 14 is asked: others differ in details."""
import pathlib
import re
import shutil
import subprocess

SOURCES = (".hpp", ".cuh", ".cpp", ".cu")


def program():
    for name in ("clang-format-14", "clang-format"):
        found = shutil.which(name)
        if found and re.search(r"version 14\.", subprocess.run([found, "--version"], capture_output=True, text=True).stdout):
            return found
    return None


def check(tree):
    formatter = program()
    files = tree.files(*SOURCES)
    if not formatter or not files:
        return
    style = pathlib.Path(__file__).resolve().parents[3] / ".clang-format"
    for path in [files[i:i + 16] for i in range(0, len(files), 16)]:
        run = subprocess.run([formatter, f"--style=file:{style}", "--dry-run", *path], cwd=tree.root, capture_output=True, text=True)
        seen = set()
        for line in run.stderr.splitlines():
            match = re.match(r"([^:]+):(\d+):\d+: warning", line)
            if match and match.group(1) not in seen:
                seen.add(match.group(1))
                yield match.group(1), int(match.group(2)), "clang-format -i changes this file"


PLANTED = {"include/tenon/core/crooked.hpp": "int   f( ) ;\n"} if program() else {}
INNOCENT = {"include/tenon/core/straight.hpp": "int f();\n"}
