#!/usr/bin/env python3
"""alone.py ROOT COMPILER [--together] [ARGUMENT...]: every header compiles by itself, twice included, and all of them
together between other people's macros (--together: only that).

The compiler is g++, clang++ or nvcc. A planted header that leans on another's include, and one that uses a name which
<complex.h>, <termios.h> or <windows.h> define, must both fail.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

# Macros that a user's other headers define before ours are read; the standard headers are read before that.
HOSTILE = ["I", "small", "B0", "near", "far", "interface", "IN", "OUT"]
STANDARD = ["algorithm", "array", "atomic", "cmath", "concepts", "condition_variable", "cstddef", "cstdint", "cstdio",
            "cstdlib", "cstring", "functional", "limits", "map", "memory", "mutex", "new", "ostream", "random",
            "source_location", "span", "stdexcept", "string", "string_view", "thread", "type_traits", "unordered_map",
            "utility", "vector", "ucontext.h", "sys/mman.h", "unistd.h", "iostream", "sstream", "set"]
HOST_ONLY = ("tenon/simt/", "tenon/arch/host/")
CUDA_ONLY = ("tenon/arch/cuda/",)


def alone(header):
    return f"#include <{header}>\n#include <{header}>\n"


def besieged(headers):
    text = "".join(f"#include <{name}>\n" for name in STANDARD)
    text += "#if defined(__CUDACC__)\n#include <cuda_runtime.h>\n#endif\n"
    text += "#if !defined(__CUDACC__) && __has_include(<gtest/gtest.h>)\n#include <gtest/gtest.h>\n#endif\n"
    text += "".join(f"#define {name} tenon_meets_a_macro(\n" for name in HOSTILE)
    return text + "".join(f"#include <{header}>\n" for header in headers)


def compile_one(compiler, arguments, root, text):
    cuda = "nvcc" in os.path.basename(compiler)
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch) / ("a.cu" if cuda else "a.cpp")
        source.write_text(text)
        front_end_only = ["-cuda", "-arch=sm_80", "-o", f"{scratch}/a.ii"] if cuda else ["-fsyntax-only"]
        command = [compiler, "-std=c++20", f"-I{root}/include", *arguments, *front_end_only, str(source)]
        run = subprocess.run(command, capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr


def main():
    root, compiler, arguments = sys.argv[1], sys.argv[2], [a for a in sys.argv[3:] if a != "--together"]
    together = "--together" in sys.argv
    cuda = "nvcc" in os.path.basename(compiler)
    skipped = HOST_ONLY if cuda else CUDA_ONLY
    headers = sorted(p.relative_to(f"{root}/include").as_posix() for p in pathlib.Path(root, "include").rglob("*")
                     if p.suffix in (".hpp", ".cuh"))
    headers = [h for h in headers if not h.startswith(skipped)]
    failures = 0

    with tempfile.TemporaryDirectory() as planted:
        core = pathlib.Path(planted, "include/tenon")
        core.mkdir(parents=True)
        (core / "leaning.hpp").write_text("#pragma once\ninline std::vector<int> v;\n")
        (core / "shouting.hpp").write_text("#pragma once\ntemplate <int I>\nstruct entry {};\n")
        (core / "polite.hpp").write_text("#pragma once\ntemplate <int Index>\nstruct entry {};\n")
        for text, must_fail in ((alone("tenon/leaning.hpp"), True), (besieged(["tenon/shouting.hpp"]), True),
                                (alone("tenon/polite.hpp"), False), (besieged(["tenon/polite.hpp"]), False)):
            code, output = compile_one(compiler, arguments, planted, text)
            if (code != 0) != must_fail:
                print(f"this test is broken: a planted header {'compiled' if must_fail else 'failed'}:\n{text}{output}")
                failures += 1

    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("TENON_JOBS", os.cpu_count() or 1))) as pool:
        jobs = {"all, between macros": pool.submit(compile_one, compiler, arguments, root, besieged(headers))}
        if not together:
            jobs |= {h: pool.submit(compile_one, compiler, arguments, root, alone(h)) for h in headers}
        for name, job in jobs.items():
            code, output = job.result()
            if code != 0 or "warning" in output:
                failures += 1
                print(f"--- {name}\n" + "\n".join(output.splitlines()[:12]))
    print(f"{len(headers)} headers{'' if together else ', alone and'} between macros, {os.path.basename(compiler)}: {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
