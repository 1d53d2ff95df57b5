"""Macros are the library's last resort: config.hpp has them all, except the CUDA words that simt/ gives to C++."""
import re

HOMES = ("include/tenon/config.hpp", "include/tenon/version.hpp", "include/tenon/simt/", "include/tenon/arch/")


def check(tree):
    for path in tree.files(".hpp", ".cuh", under="include"):
        home = path.startswith(HOMES)
        text = tree.code(path)
        if "#pragma once" not in text:
            yield path, 1, "no #pragma once"
        for number, line in enumerate(text.splitlines(), 1):
            define = re.match(r"\s*#\s*define\s+(\w+)", line)
            if define and not home and f"#undef {define.group(1)}" not in re.sub(r"#\s*", "#", text):
                yield path, number, f"{define.group(1)} is defined outside config.hpp"
            if re.match(r"using\s+namespace\b", line):
                yield path, number, "using namespace for everyone who includes this"


PLANTED = {
    "include/tenon/core/macro.hpp": "#pragma once\n#  define TENON_MAX(a, b) ((a) < (b) ? (b) : (a))\n",
    "include/tenon/core/twice.hpp": "int x;\n",
    "include/tenon/core/open.hpp": "#pragma once\nusing namespace std;\n",
}
INNOCENT = {
    "include/tenon/config.hpp": "#pragma once\n#define TENON_HD\n",
    "include/tenon/core/local.hpp": "#pragma once\n#define ROW(x) x\n#undef ROW\n",
}
