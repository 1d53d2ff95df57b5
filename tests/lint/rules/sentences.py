"""A static_assert of the library says whose rule was broken: its text begins with the name, tenon::."""
import re


def check(tree):
    for path in tree.files(".hpp", ".cuh", under="include"):
        text = tree.code(path, strings=True)
        for match in re.finditer(r"static_assert\s*\(", text):
            depth, end = 1, match.end()
            while depth and end < len(text):
                depth += {"(": 1, ")": -1}.get(text[end], 0)
                end += 1
            sentence = re.search(r'"([^"]*)"', text[match.end():end])
            if sentence and not sentence.group(1).startswith("tenon::"):
                yield path, text.count("\n", 0, match.start()) + 1, f'"{sentence.group(1)}" does not begin with tenon::'


PLANTED = {"include/tenon/core/rude.hpp": 'static_assert(sizeof(int) == 4,\n              "bad size");\n'}
INNOCENT = {"include/tenon/core/kind.hpp": 'static_assert(sizeof(int) == 4, "tenon::kind: int has 4 bytes");\nstatic_assert(true);\n'}
