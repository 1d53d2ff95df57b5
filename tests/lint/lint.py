#!/usr/bin/env python3
"""lint.py RULE ROOT: runs one rule on the tree, and first on what it must and must not find.

A rule is rules/RULE.py with `check(tree)`, which yields (path, line, message), and two dictionaries of path -> text:
`PLANTED`, each file of which must be reported, and `INNOCENT`, in which nothing may be.
"""
import importlib.util
import pathlib
import re
import sys
import tempfile

SKIPPED = {".git", "build", ".cache", "__pycache__"}


class Tree:
    """The files of the project, or of a planted sample, as text."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def files(self, *suffixes, under=""):
        found = []
        for path in sorted((self.root / under).rglob("*")):
            relative = path.relative_to(self.root)
            if SKIPPED & set(relative.parts) or not path.is_file():
                continue
            if not suffixes or path.suffix in suffixes or path.name in suffixes:
                found.append(relative.as_posix())
        return found

    def exists(self, path):
        return (self.root / path).exists()

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def lines(self, path):
        return list(enumerate(self.text(path).splitlines(), 1))

    def code(self, path, strings=False):
        """The text with comments (and string literals, unless strings) blanked, line numbers kept."""
        pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''

        def blank(match):
            found = match.group(0)
            if found[0] == "/":
                return re.sub(r"[^\n]", " ", found)
            return found if strings else found[0] + " " * (len(found) - 2) + found[-1]

        return re.sub(pattern, blank, self.text(path), flags=re.S)


def planted(files):
    directory = tempfile.TemporaryDirectory()
    for path, text in files.items():
        target = pathlib.Path(directory.name) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return directory


def main():
    name, root = sys.argv[1:3]
    here = pathlib.Path(__file__).parent
    sys.path.insert(0, str(here / "rules"))
    spec = importlib.util.spec_from_file_location(name, here / "rules" / f"{name}.py")
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)

    failed = False
    with planted({**rule.INNOCENT, **rule.PLANTED}) as sample:
        reported = {path for path, _, _ in rule.check(Tree(sample))}
    for path in set(rule.PLANTED) - reported:
        print(f"lint.{name} is broken: it does not report the planted {path}")
        failed = True
    for path in set(rule.INNOCENT) & reported:
        print(f"lint.{name} is broken: it reports the innocent {path}")
        failed = True

    found = list(rule.check(Tree(root)))
    for path, line, message in found:
        print(f"{path}:{line}: {message}")
    print(f"lint.{name}: {len(found)} findings, {len(rule.PLANTED)} planted samples caught" if not failed else "")
    return 1 if failed or found else 0


if __name__ == "__main__":
    sys.exit(main())
