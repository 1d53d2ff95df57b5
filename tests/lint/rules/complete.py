"""An operator is finished when it has its policy, its reference, a test, a page and a bench, and says where they are."""
import re


def check(tree):
    headers = tree.files(".hpp", under="include")
    texts = {path: tree.text(path) for path in headers}
    for header in headers:
        family, name = header.split("/")[-2], header.split("/")[-1][:-len(".hpp")]
        text = texts[header]
        if not re.search(r"include\s+<tenon/\w+/\w+_kernel\.cuh>", text):
            continue  # launches nothing
        if not re.search(r"include\s+<tenon/\w+/\w+_policy\.hpp>", text):
            yield header, 1, "includes no _policy.hpp"
        references = [t for p, t in texts.items() if p.startswith(f"include/tenon/{family}/") and p.endswith("_ref.hpp")]
        for operator in set(re.findall(r"\bstatus\s+(\w+)\(context", text)):
            if not any(re.search(rf"\b{operator}\(", t) for t in references):
                yield header, 1, f"no _ref.hpp of its family defines {operator}"
        if not any(f"<tenon/{family}/{name}.hpp>" in tree.text(p) for p in tree.files(".cpp", under=f"bench/{family}")):
            yield header, 1, f"no bench of bench/{family} includes it"
        for word in ("Arithmetic", "Cost", "Errors", r"Test tests/[\w/]+_test\.cpp", r"Page docs/operators/\w+\.md"):
            if not re.search(rf"///.*\b{word}", text):
                yield header, 1, f"its documentation has no '{word.split()[0]}'"
        for path in re.findall(r"(?:Test|Page) ((?:tests|docs)/[\w/]+\.\w+)", text):
            if not tree.exists(path):
                yield header, 1, f"has no {path}"


SAYS = "/// Arithmetic x\n/// Cost x\n/// Errors x\n"
PLANTED = {
    "include/tenon/norm/bare.hpp": "#include <tenon/norm/bare_kernel.cuh>\n",
    "include/tenon/norm/untested.hpp": "#include <tenon/norm/whole_kernel.cuh>\n#include <tenon/norm/whole_policy.hpp>\n" + SAYS +
                                       "/// Test tests/norm/untested_test.cpp.   Page docs/operators/whole.md.\n",
    "include/tenon/norm/unfounded.hpp": "#include <tenon/norm/whole_kernel.cuh>\n#include <tenon/norm/whole_policy.hpp>\n" + SAYS +
                                        "/// Test tests/norm/whole_test.cpp.   Page docs/operators/whole.md.\n"
                                        "status unfounded(context const& where);\n",
}
INNOCENT = {
    "include/tenon/norm/whole.hpp": "#include <tenon/norm/whole_kernel.cuh>\n#include <tenon/norm/whole_policy.hpp>\n" + SAYS +
                                    "/// Test tests/norm/whole_test.cpp.   Page docs/operators/whole.md.\n"
                                    "status whole(context const& where);\n",
    "include/tenon/norm/whole_kernel.cuh": "", "include/tenon/norm/whole_policy.hpp": "",
    "include/tenon/norm/whole_ref.hpp": "void whole();\n", "tests/norm/whole_test.cpp": "",
    "docs/operators/whole.md": "",
    "bench/norm/whole_bench.cpp": "#include <tenon/norm/whole.hpp>\n#include <tenon/norm/untested.hpp>\n#include <tenon/norm/unfounded.hpp>\n",
    "include/tenon/norm/types.hpp": "struct types;\n",
}
