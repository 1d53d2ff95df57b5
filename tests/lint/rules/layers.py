"""Include direction: a header includes only its own layer and those above it in docs/design.md."""
import posixpath
import re

ORDER = ["config", "core", "op and simt", "arch", "tile", "quant", "a family's policies, references and vocabulary",
         "a family's kernels", "public"]
# Two layers of the same height that must not know each other.
STRANGERS = {("op", "simt"), ("simt", "op")}


def layer(path, headers):
    parts = path.split("/")[1:]  # without tenon/
    if len(parts) == 1:
        return 0 if parts[0] in ("config.hpp", "version.hpp") else len(ORDER) - 1
    folder, name = parts[0], parts[-1]
    if folder in ("core", "op", "simt", "arch", "tile", "quant"):
        return {"core": 1, "op": 2, "simt": 2, "arch": 3, "tile": 4, "quant": 5}[folder]
    if name.endswith("_kernel.cuh"):
        return 7
    if name.endswith(("_policy.hpp", "_ref.hpp")):
        return 6
    stem = posixpath.splitext(path)[0]
    text = headers.get(path, "")
    includes = re.findall(r"include\s+<(tenon/[^>]+)>", text)
    launches = f"{stem}_kernel.cuh" in headers or any(i.endswith("_kernel.cuh") for i in includes)
    operator = re.search(r"\bstatus\s+\w+\(context", text)  # made of other operators
    return 8 if (launches or operator) and path.endswith(".hpp") else 6


def check(tree):
    headers = {path[len("include/"):]: tree.code(path) for path in tree.files(".hpp", ".cuh", under="include")}
    for path in headers:
        mine = layer(path, headers)
        for number, line in enumerate(headers[path].splitlines(), 1):
            include = re.match(r"\s*#\s*include\s+<(tenon/[^>]+)>", line)
            if not include:
                continue
            other = include.group(1)
            if other not in headers:
                yield f"include/{path}", number, f"includes <{other}>, which does not exist"
                continue
            theirs = layer(other, headers)
            if theirs > mine:
                yield f"include/{path}", number, f"({ORDER[mine]}) includes <{other}> ({ORDER[theirs]})"
            if (path.split("/")[1], other.split("/")[1]) in STRANGERS:
                yield f"include/{path}", number, f"op and simt do not know each other: <{other}>"


PLANTED = {
    "include/tenon/core/up.hpp": "#include <tenon/tile/reduce.cuh>\n",
    "include/tenon/op/sideways.hpp": "#  include <tenon/simt/launch.hpp>\n",
    "include/tenon/norm/rms_norm_kernel.cuh": "#include <tenon/norm/rms_norm.hpp>\n",
    "include/tenon/attention/variant.hpp": "#include <tenon/gemm/gemm.hpp>\n",
    "include/tenon/gemm/lost.hpp": "#include <tenon/gemm/nowhere.hpp>\n",
}
INNOCENT = {
    "include/tenon/tile/reduce.cuh": "// #include <tenon/norm/rms_norm.hpp>\n",
    "include/tenon/simt/launch.hpp": "",
    "include/tenon/gemm/gemm.hpp": "#include <tenon/gemm/gemm_lanes_kernel.cuh>\n",
    "include/tenon/gemm/gemm_lanes_kernel.cuh": "",
    "include/tenon/gemm/two_steps.hpp": "#include <tenon/gemm/gemm.hpp>\nstatus two_steps(context const& where);\n",
    "include/tenon/norm/rms_norm.hpp": "#include <tenon/norm/rms_norm_kernel.cuh>\n#include <tenon/tile/reduce.cuh>\n",
}
