#!/usr/bin/env python3
"""What ptxas says about every kernel.

report.py compile NVCC ROOT SOURCE OUT.json ARCHITECTURE...   compiles SOURCE; fails on a warning, an error, or a spill on a card
                                                              that policies are made for
report.py table DIRECTORY                                     prints what those left, one row per kernel and policy
report.py launches DIRECTORY                                  prints the threads and shared memory that the tests launched with
report.py self-test NVCC                                      a planted kernel that spills must be reported
"""
import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile


TUNED = ("sm_80", "sm_86", "sm_89", "sm_90a")  # on later cards a spill is shown: their policies are sm_90's


def parse(output):
    """The kernels of one compilation: mangled name, architecture, registers, shared, stack, spilled bytes."""
    kernels, current, properties_of = [], None, None
    for line in output.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line):
            current = {"kernel": match[1], "architecture": match[2], "registers": 0, "shared": 0, "stack": 0, "spilled": 0}
            kernels.append(current)
        elif match := re.search(r"Function properties for (\w+)", line):
            properties_of = match[1]
        elif (match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)) and current:
            # A function that was not inlined spills on behalf of the kernel that is being compiled.
            current["spilled"] += int(match[2]) + int(match[3])
            current["stack"] = max(current["stack"], int(match[1]))
        elif (match := re.search(r"Used (\d+) registers", line)) and current:
            current["registers"] = int(match[1])
            shared = re.search(r"(\d+) bytes smem", line)
            current["shared"] = int(shared[1]) if shared else 0
    return kernels


def demangle(names):
    for program in ("cu++filt", "c++filt"):
        try:
            run = subprocess.run([program], input="\n".join(names), capture_output=True, text=True, check=True)
            return dict(zip(names, run.stdout.splitlines()))
        except (OSError, subprocess.CalledProcessError):
            continue
    return dict(zip(names, names))


def short(name):
    """tenon::kernel::gemm<menu_entry<gemm_menu, 3>, bf16, ...>: no return type, no arguments, no namespaces."""
    name = re.sub(r"^(?:void|auto) ", "", name)
    depth, end = 0, len(name)
    for i, c in enumerate(name):
        depth += {"<": 1, ">": -1}.get(c, 0)
        if c == "(" and depth == 0:
            end = i
            break
    name = re.sub(r"\((?:anonymous namespace|\w+)\)(?:::)?", "", name[:end])
    name = re.sub(r"\b(?:tenon|cuda|kernel|test|detail)::", "", name).replace("&", "")
    return re.sub(r"menu_entry<(\w+?)(?:_menu)?, (\d+)>", r"\1[\2]", name)


def compile_source(nvcc, root, source, architectures, output):
    command = [nvcc, "-x", "cu", "-std=c++20", f"-I{root}/include", f"-I{root}/tests", "-Xptxas", "-v", "-Werror", "all-warnings",
               f'-DTENON_SOURCE_DIR="{root}"', '-DTENON_SHARED_DATA=""', '-DTENON_BINARY_DIR=""']
    command += [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    return subprocess.run([*command, "-c", str(source), "-o", output], capture_output=True, text=True)


def compile_one(nvcc, root, source, result, architectures):
    root, result = pathlib.Path(root), pathlib.Path(result)
    with tempfile.TemporaryDirectory() as scratch:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = compile_source(nvcc, root, root / source, architectures, f"{scratch}/a.o")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if run.returncode != 0:
        print("\n".join(line for line in (run.stdout + run.stderr).splitlines() if "ptxas info" not in line)[:6000])
        return 1
    kernels = parse(run.stdout + run.stderr)
    names = demangle([k["kernel"] for k in kernels])
    for k in kernels:
        k["kernel"] = short(names[k["kernel"]])
    kernels = [k for k in kernels if not k["kernel"].startswith("arch::probe")]
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps({"source": str(source), "seconds": seconds, "architectures": architectures, "kernels": kernels}, indent=1))
    spilling = [k for k in kernels if k["spilled"]]
    for k in spilling:
        print(f"spills {k['spilled']} bytes on {k['architecture']}: {k['kernel']}")
    print(f"{source}: {len(kernels)} kernels for {' '.join(architectures)}, {len(spilling)} spill")
    return 1 if any(k["architecture"] in TUNED for k in spilling) else 0


def table(directory):
    rows, times = {}, {}
    for path in sorted(pathlib.Path(directory).glob("*.json")):
        read = json.loads(path.read_text())
        times[read["source"]] = max(times.get(read["source"], (0, [])), (read["seconds"], read["architectures"]))
        for k in read["kernels"]:
            rows.setdefault(k["kernel"], {})[k["architecture"]] = k
    architectures = sorted({a for row in rows.values() for a in row}, key=lambda a: (int(re.search(r"\d+", a)[0]), a))
    print("registers" + "".join(f"{a:>9}" for a in architectures) + "   spilled  shared  stack  kernel (static shared memory, bytes)")
    for name in sorted(rows):
        row = rows[name]
        print(" " * 9 + "".join(f"{row[a]['registers'] if a in row else '-':>9}" for a in architectures) +
              "".join(f"{max(k[what] for k in row.values()):>{width}}" for what, width in (("spilled", 10), ("shared", 8), ("stack", 7))) +
              f"  {name}")
    print(f"{len(rows)} kernels, {sum(any(k['spilled'] for k in row.values()) for row in rows.values())} spill")
    for source, (seconds, architectures) in times.items():
        if "compile_time" in source:
            print(f"compile time of {source} for {' '.join(architectures)}: {seconds:.1f} CPU seconds")
    return 0


def launches(directory):
    """Lines of `primitive arch threads shared_bytes`, written by tests/support/prelude.cpp."""
    most = {}
    for path in pathlib.Path(directory).glob("*.txt"):
        if path.name.startswith(("arch.", "simt.", "tile.")):
            continue  # kernels of tests
        for line in path.read_text().splitlines():
            primitive, arch, threads, shared = line.split()
            key = (primitive, int(arch))
            most[key] = max(most.get(key, (0, 0)), (int(shared), int(threads)))
    cards = sorted({arch for _, arch in most} - {0})
    print("dynamic shared memory, bytes per block at most (threads of that block), acting as\n" + " " * 24 + "".join(f"{a:>16}" for a in cards))
    for primitive in sorted({p for p, _ in most}):
        cells = (most.get((primitive, a)) for a in cards)
        print(f"{primitive:<24}" + "".join(f"{f'{c[0]} ({c[1]})' if c else '-':>16}" for c in cells))
    return 0


def self_test(nvcc):
    spilling = """__global__ __launch_bounds__(1024, 2) void greedy(float* x) {
  float v[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) v[i] = x[i * 1024 + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 64; ++i) x[(63 - i) * 1024 + threadIdx.x + 1] = v[i] * v[(i * 7) % 64];
}
__global__ void modest(float* x) { x[threadIdx.x] *= 2; }
"""
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch, "planted.cu")
        source.write_text(spilling)
        run = compile_source(nvcc, scratch, source, ["80"], f"{scratch}/a.o")
        kernels = {k["kernel"]: k for k in parse(run.stdout + run.stderr)}
        source.write_text("__global__ void f() { int unused; }\n")
        warned = compile_source(nvcc, scratch, source, ["80"], f"{scratch}/a.o").returncode != 0
    greedy, modest = (next((k for n, k in kernels.items() if name in n), None) for name in ("greedy", "modest"))
    good = greedy and modest and greedy["spilled"] > 0 and modest["spilled"] == 0 and modest["registers"] > 0 and warned
    print(f"the planted spill is {'reported' if good else 'NOT reported'}: {greedy}, {modest}; warning fails: {warned}")
    return 0 if good else 1


if __name__ == "__main__":
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "compile":
        sys.exit(compile_one(*arguments[:4], arguments[4:]))
    sys.exit({"table": table, "launches": launches, "self-test": self_test}[what](*arguments))
