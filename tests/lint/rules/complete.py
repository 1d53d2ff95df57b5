"""An operator is finished when it has its policy, reference, test, page and bench."""
import re


def check(tree):
    for kernel in tree.files(under="include"):
        match = re.fullmatch(r"include/tenon/(\w+)/(\w+)_kernel\.cuh", kernel)
        if not match:
            continue
        family, name = match.groups()
        header = f"include/tenon/{family}/{name}.hpp"
        if not tree.exists(header):
            continue  # a kernel of another operator's header
        for want in (f"include/tenon/{family}/{name}_policy.hpp", f"include/tenon/{family}/{name}_ref.hpp",
                     f"tests/{family}/{name}_test.cpp", f"docs/operators/{name}.md", f"bench/{family}/{name}_bench.cpp"):
            if not tree.exists(want):
                yield header, 1, f"has no {want}"
        for word in ("Arithmetic", "Cost", "Errors", "Source", "Example", "Test", "Page"):
            if not re.search(rf"///.*\b{word}\b", tree.text(header)):
                yield header, 1, f"its documentation has no '{word}'"


PLANTED = {"include/tenon/norm/bare.hpp": "", }
INNOCENT = {
    "include/tenon/norm/bare_kernel.cuh": "",
    "include/tenon/norm/whole.hpp": "/// Arithmetic x\n/// Cost x\n/// Errors x\n/// Source x\n/// Example x. Test x. Page x.\n",
    "include/tenon/norm/whole_kernel.cuh": "", "include/tenon/norm/whole_policy.hpp": "",
    "include/tenon/norm/whole_ref.hpp": "", "tests/norm/whole_test.cpp": "", "docs/operators/whole.md": "",
    "bench/norm/whole_bench.cpp": "",
}
