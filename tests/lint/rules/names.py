"""Names that say nothing, in files and in code."""
import re

BANNED = {"helper", "helpers", "util", "utils", "utilities", "manager", "fast", "v2", "impl", "misc", "stuff"}
FOLDERS = ("include", "tests", "bench", "examples", "scripts", "cmake")
# Words of other people's interfaces.
FOREIGN = {"beta_fast", "CUBLAS_COMPUTE_32F_FAST_TF32"}  # a field of config.json, a constant of cublasLt.h


def words(name):
    return {w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*|\d+", name.replace("_", " "))}


def check(tree):
    for path in tree.files():
        if not path.startswith(FOLDERS) or path.startswith("tests/lint/"):
            continue
        for part in path.split("/"):
            if words(re.sub(r"\.\w+$", "", part)) & BANNED:
                yield path, 0, f"the name '{part}' says nothing"
                break
        if not path.endswith((".hpp", ".cuh", ".cpp", ".cu")):
            continue
        for number, line in enumerate(tree.code(path).splitlines(), 1):
            for name in re.findall(r"[A-Za-z_]\w*", line):
                found = words(name) & BANNED
                if found and name not in FOREIGN:
                    yield path, number, f"'{name}': '{found.pop()}' says nothing"


PLANTED = {
    "include/tenon/core/string_utils.hpp": "",
    "include/tenon/norm/norm.hpp": "struct memory_manager {};\n",
    "examples/engine/model.cpp": "int loadImpl();\n",
    "bench/gemm/gemm.cpp": "void gemm_v2();\n",
}
INNOCENT = {
    "include/tenon/norm/other.hpp": "// a fast helper\nint breakfast, simplified; char const* s = \"impl\";\n",
}
