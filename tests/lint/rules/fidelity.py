"""Every function of arch:: is in the table of docs/fidelity.md: what it computes has been compared with a GPU, or not."""
import re

# Loops over other primitives, and launching.
COMPOSED = ("run.cuh", "stripe.cuh", "launch.cuh")


def functions(text):
    depth = 0  # of braces within namespace detail
    for number, line in enumerate(text.splitlines(), 1):
        if depth or line.startswith("namespace detail"):
            depth += line.count("{") - line.count("}")
            continue
        name = re.search(r"__device__ (?:inline )?[\w:<>,&* ]*?[ &*](\w+)\(", line)
        if name:
            yield number, name.group(1)


def check(tree):
    table = tree.text("docs/fidelity.md") if tree.exists("docs/fidelity.md") else ""
    for path in tree.files(".cuh", under="include/tenon/arch/cuda"):
        if path.endswith(COMPOSED):
            continue
        for number, name in functions(tree.code(path)):
            if f"| `{name}` |" not in table:
                yield path, number, f"{name} is not in docs/fidelity.md: add it to probe/primitives.hpp, and a case to probe/"


PLANTED = {
    "include/tenon/arch/cuda/warp.cuh": "template <class T>\n__device__ inline T rotate(T v, int by) {\n  return v;\n}\n",
    "include/tenon/arch/cuda/wide.cuh": "requires x __device__ inline vec<T, 4> load_wide(T const* p) {}\n",
}
INNOCENT = {
    "docs/fidelity.md": "| `shuffle` | shfl |\n",
    "include/tenon/arch/cuda/known.cuh": "namespace detail {\nstruct x {\n};\n__device__ inline int step(int v) {\n}\n}\n__device__ inline int shuffle(int v) {}\n",
    "include/tenon/arch/cuda/run.cuh": "__device__ inline void load_run() {}\n",
}
