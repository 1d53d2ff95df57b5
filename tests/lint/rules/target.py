"""What differs between the targets is reached through arch: and nowhere else."""
import re

HOMES = ("include/tenon/arch/", "include/tenon/simt/")
# The only other places that may ask which target they are compiled for, and why.
MAY_ASK = {
    "include/tenon/config.hpp": "defines the question",
    "include/tenon/core/architecture.hpp": "the list of architectures of each target",
    "include/tenon/core/context.hpp": "the two definitions of a context",
    "include/tenon/core/dispatch.hpp": "which policies each target compiles",
    "include/tenon/core/numeric.hpp": "conversions in one instruction where the machine has it",
}
MAY_USE_INSTRUCTIONS = {"include/tenon/core/numeric.hpp"}

INSTRUCTION = re.compile(
    r"\basm\b|\b__asm|\b__shared__\b|\b__syncthreads\w*|\b__syncwarp\b|\b__shfl\w*|\b__ballot\w*|\b__(?:any|all)_sync\b|"
    r"\b__reduce_\w+_sync\b|\b__activemask\b|\b__threadfence\w*|\batomic(?:Add|Max|Min|CAS|Exch|Or|And|Sub|Inc|Dec)\w*\b|"
    r"\b__nv_bfloat16\w*|\b__half\w*|\bfloat4\b")
FOREIGN = re.compile(r"#\s*include\s+<(?:cub/|thrust/|cuda/|cuda|cooperative_groups|mma\.h)")
QUESTION = re.compile(r"#\s*(?:el)?if\w*\b.*\b(?:TENON_CUDA|TENON_ACT_AS|TENON_CHECKED|__CUDACC\w*|__CUDA_ARCH\w*|__NVCC__)\b")
# A menu leaves out what one target never runs.
MENU = re.compile(r"#\s*(?:el)?if (?:\W|\d|TENON_CUDA|TENON_ACT_AS)+$")
# Not a question about the target: run-time compilation has no host half.
RUN_TIME = re.compile(r"#\s*if !defined\(__CUDACC_RTC__\)\s*$")


def check(tree):
    for path in tree.files(".hpp", ".cuh", under="include"):
        if path.startswith(HOMES):
            continue
        menu = path.endswith("_policy.hpp")
        for number, line in enumerate(tree.code(path).splitlines(), 1):
            instruction = INSTRUCTION.search(line)
            if instruction and path not in MAY_USE_INSTRUCTIONS:
                yield path, number, f"{instruction.group(0)} belongs behind an arch:: function"
            if FOREIGN.search(line) and path not in MAY_ASK:
                yield path, number, "a CUDA header outside arch/"
            answered = path in MAY_ASK or RUN_TIME.search(line) or (menu and MENU.search(line.rstrip()))
            if QUESTION.search(line) and not answered:
                yield path, number, "asks which target it is compiled for"


PLANTED = {
    "include/tenon/norm/assembly_kernel.cuh": 'inline void f() { asm volatile("bar.sync 0;"); }\n',
    "include/tenon/norm/static_shared_kernel.cuh": "__shared__ float x[32];\n",
    "include/tenon/tile/barrier.cuh": "__device__ void f() { __syncthreads(); }\n",
    "include/tenon/tile/shuffle.cuh": "__device__ float f(float v) { return __shfl_xor_sync(~0u, v, 1); }\n",
    "include/tenon/gemm/question.hpp": "#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900\n#endif\n",
    "include/tenon/gemm/sort.hpp": "#include <cub/device/device_radix_sort.cuh>\n",
    "include/tenon/gemm/gemm_policy.hpp": "#if TENON_CUDA && defined(__CUDA_ARCH__)\n#endif\n",
}
INNOCENT = {
    "include/tenon/arch/cuda/sync.cuh": 'inline void f() { asm volatile("bar.sync 0;"); }\n',
    "include/tenon/norm/plain_kernel.cuh": "// no __shared__ here: it is in arch/\n",
    "include/tenon/norm/rms_norm_policy.hpp": "#if TENON_CUDA\n#elif !TENON_ACT_AS\n#endif\n",
    "include/tenon/norm/printed.hpp": "#if !defined(__CUDACC_RTC__)\n#endif\n",
}
