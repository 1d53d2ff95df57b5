"""Sources are as clang-format leaves them. Only its version 14 is asked: others differ in details."""
import concurrent.futures
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

    def changed(path):
        run = subprocess.run([formatter, f"--style=file:{style}", path], cwd=tree.root, capture_output=True, text=True)
        before, after = tree.text(path).splitlines(), run.stdout.splitlines()
        return next((i for i, (a, b) in enumerate(zip(before + [""], after + [""]), 1) if a != b), 0) if before != after else 0

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for path, line in zip(files, pool.map(changed, files)):
            if line:
                yield path, line, "clang-format -i changes this file"


PLANTED = {"include/tenon/core/crooked.hpp": "int   f( ) ;\n"} if program() else {}
INNOCENT = {"include/tenon/core/straight.hpp": "int f();\n"}
