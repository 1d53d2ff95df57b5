"""attention_kernels.py [--arch 90a] [--head-dim 128] [--queries 1] [--keep FOLDER]: what nvcc makes of the kernels, as Markdown.

For each format of cache: registers, shared memory, blocks on a multiprocessor, bytes in flight, and what a warp issues for one
tile of keys. Wants nvcc, a host compiler and nvdisasm (PATH, or NVDISASM; a wheel has it: nvidia-cuda-nvdisasm). No GPU.
"""
import argparse
import collections
import heapq
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMATS = {"bf16": ("bf16", "bf16"), "fp8": ("kv_fp8", "kv_fp8"), "int8": ("kv_int8", "kv_int8"), "int4": ("kv_int4", "kv_int4"),
           "bf16 keys, int8 values": ("bf16", "kv_int8")}
SHARED = {"80": (163, 164), "86": (99, 100), "89": (99, 100), "90a": (227, 228)}  # KB: of a block, of a multiprocessor
# Planning values: bytes per clock that one of 132 multiprocessors gets of 4.3 TB/s at 1.755 GHz, bytes under way for 0.8 us.
BYTES_PER_CLOCK, NEED_KB = 4.3e12 / 132 / 1.755e9, 4.3e12 * 0.8e-6 / 132 / 1024

SOURCE = """
#include <tenon/attention/paged_attention.hpp>
#include <cstdio>
using namespace tenon;
template <int Number, class K, class V>  // of the format: it stands in the kernel's name
struct decoding {
  static constexpr paged_attention_policy value = choose_paged_attention_policy(
      {%(number)d}, {.head_dim = %(dim)d, .value_dim = %(dim)d, .group = 8, .max_query_length = %(queries)d, .vectorised = true, .narrow = true,
                    .k_bits = kernel::kv_bits<K>, .v_bits = kernel::kv_bits<V>});
};
template <class K, class V>
using params = paged_attention_params<bf16, bf16, K, V, causal, scaled_logits>;
#if TENON_CUDA
#define FORMAT(number, K, V) \\
  template __global__ void kernel::paged_attention_mma<decoding<number, K, V>, bf16, bf16, K, V, causal, scaled_logits>( \\
      __grid_constant__ params<K, V> const);
#else
#define FORMAT(number, K, V)                                                                                         \\
  std::printf("%%zu %%d %%d %%d %%d\\n", kernel::paged_attention_mma_bytes<decoding<0, K, V>, bf16, K, V, params<K, V>>,        \\
              decoding<0, K, V>::value.key_warps(), decoding<0, K, V>::value.keys,                                               \\
              decoding<0, K, V>::value.stages(kernel::kv_bits<K>, kernel::kv_bits<V>), decoding<0, K, V>::value.threads_per_block());
int main() {
#endif
%(formats)s
#if !TENON_CUDA
}
#endif
"""

# What an instruction is counted as, by how its name begins; the first that fits.
KINDS = (("mma", ("HMMA", "IMMA", "QMMA")), ("shared loads", ("LDS", "LDSM")), ("copies", ("LDGSTS", "LDGDEPBAR", "DEPBAR")),
         ("exp2", ("MUFU",)), ("shuffles", ("SHFL",)), ("fp32", ("FFMA", "FMUL", "FADD", "FMNMX", "FSETP", "FSEL")),
         ("pairs", ("HFMA2", "HADD2", "HMUL2", "HMNMX2")), ("conversions", ("F2F", "I2F", "F2I")), ("logic", ("LOP3", "PRMT")),
         ("shifts", ("SHF", "SHL", "SHR")))


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def kind_of(name):
    for kind, starts in KINDS:
        if name.startswith(starts):
            return kind
    return "other"


def functions(listing):
    """{mangled name: [line of its code]}"""
    found, lines = {}, None
    for line in listing.splitlines():
        if match := re.match(r"\s*\.section\s+\.text\.([\w$.]+)", line):
            lines = found.setdefault(match.group(1), [])
        elif re.match(r"\s*\.section\s", line):
            lines = None
        elif lines is not None:
            lines.append(line)
    return found


class Block:
    def __init__(self):
        self.names, self.next, self.target, self.falls = [], [], None, True


def blocks_of(lines):
    """Basic blocks in the order of their addresses, with the indices of those that may follow."""
    blocks, at, starts, meets = [Block()], {}, False, {}
    for line in lines:
        if match := re.match(r"\s*(\.L_x_\d+):", line):
            if blocks[-1].names:
                blocks.append(Block())
            at[match.group(1)] = len(blocks) - 1
            starts = False
            continue
        match = re.match(r"\s*(?:/\*[0-9a-f]+\*/)?\s*(@!?U?P[T\d]+\s+)?([A-Z][A-Z0-9_]*)(\S*)(.*?);", line)
        if not match:
            continue
        if starts:
            blocks.append(Block())
            starts = False
        guard, name, _, rest = match.groups()
        blocks[-1].names.append(name)
        if name == "BSSY":  # where lanes that part now meet again
            if match := re.search(r"(B\d+), `\((\.L_x_\d+)\)", rest):
                meets[match.group(1)] = match.group(2)
        if name == "BSYNC":
            match = re.search(r"B\d+", rest)
            blocks[-1].target, starts = meets.get(match.group()) if match else None, True
        if name in ("BRA", "EXIT", "RET", "BRX", "JMP"):
            target = re.search(r"`\((\.L_x_\d+)\)", rest)
            blocks[-1].target, starts = target.group(1) if target else None, True
            # A branch may also hang on a predicate among its operands.
            blocks[-1].falls = bool(guard) or bool(re.match(r"\s*!?U?P\d", rest))
    for i, block in enumerate(blocks):
        if block.target in at:
            block.next.append(at[block.target])
        if block.falls and i + 1 < len(blocks):
            block.next.append(i + 1)
    return blocks


def shortest(blocks, start, goal):
    """The way with the fewest instructions from `start` to `goal`, as indices; both ends are part of it."""
    heap, seen = [(0, start, (start,))], set()
    while heap:
        cost, at, way = heapq.heappop(heap)
        if at == goal and len(way) > 1:
            return way
        if at in seen:
            continue
        seen.add(at)
        for to in blocks[at].next:
            if to not in seen or to == goal:
                heapq.heappush(heap, (cost + len(blocks[to].names), to, way + (to,)))
    return None


def tile_loop(blocks):
    """The instructions of the usual way once around the loop over tiles: the shortest that has all its products, copies and
    look-ups of pages."""
    count = [sum(n in ("HMMA", "IMMA", "QMMA") for n in b.names) for b in blocks]
    loops = [(to, i) for i, b in enumerate(blocks) for to in b.next if to <= i]
    loops = [(last - first, first, last) for first, last in loops if sum(count[first:last + 1]) * 2 > sum(count)]
    if not loops:
        return None
    _, first, last = min(loops)
    stops = [i for i in range(first, last + 1) if count[i] or {"LDGSTS", "LDG"} & set(blocks[i].names)] + [last]
    way, at = [first], first
    for stop in stops:
        if stop == at:
            continue
        found = shortest(blocks, at, stop)
        if not found:
            return None
        way += found[1:]
        at = stop
    return [name for i in way for name in blocks[i].names]


def measure(arch, dim, queries, folder):
    number = int(re.match(r"\d+", arch).group())
    text = SOURCE % {"number": number, "dim": dim, "queries": queries, "formats": "\n".join(f"FORMAT({i}, {k}, {v})" for i, (k, v) in enumerate(FORMATS.values()))}
    source, program, cubin = folder / "decoding.cu", folder / "sizes.cpp", folder / "decoding.cubin"
    source.write_text(text), program.write_text(text)
    include = ["-std=c++20", f"-I{ROOT / 'include'}"]
    run([os.environ.get("CXX", "g++"), *include, "-fsyntax-only", str(program)])
    run([os.environ.get("CXX", "g++"), *include, str(program), "-o", str(folder / "sizes"), "-lpthread"])
    sizes = [list(map(int, line.split())) for line in run([str(folder / "sizes")]).stdout.splitlines()]
    made = run(["nvcc", *include, f"-arch=sm_{arch}", "-cubin", "-Xptxas", "-v", str(source), "-o", str(cubin)])
    ptxas = {}
    name = None
    for line in (made.stdout + made.stderr).splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            name = match.group(1)
        elif match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            ptxas.setdefault(name, {})["spills"] = int(match.group(1)) + int(match.group(2))
        elif match := re.search(r"Used (\d+) registers", line):
            ptxas.setdefault(name, {})["registers"] = int(match.group(1))
    code = functions(run([os.environ.get("NVDISASM", "nvdisasm"), "-c", str(cubin)]).stdout)
    rows = []
    for i, ((title, (k, v)), (shared, warps, keys, stages, threads)) in enumerate(zip(FORMATS.items(), sizes)):
        mangled = next(n for n in ptxas if f"decodingILi{i}E" in n)
        facts, usual = ptxas[mangled], tile_loop(blocks_of(code[mangled]))
        rows.append((title, k, v, shared, warps, keys, stages, threads, facts, usual))
    return rows


def row_bytes(element, dim):
    return {"bf16": 2 * dim, "kv_fp8": dim + 4, "kv_int8": dim + 4, "kv_int4": dim // 2 + dim // 32 * 4}[element]


def page(arch, dim, queries, rows):
    block_kb, all_kb = SHARED[arch]
    out = [f"sm_{arch}, head_dim {dim}, bf16 queries, causal, 8 heads to a cached one, {queries} new tokens at most.\n",
           "| cache | registers | spills | shared memory, bytes | blocks | KB in flight | bytes of a tile | instructions | from its first copy to its last | of the issue slots |",
           "|---|---|---|---|---|---|---|---|---|---|"]
    kinds = [k for k, _ in KINDS] + ["other"]
    mixes = ["| cache | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for title, k, v, shared, warps, keys, stages, threads, facts, usual in rows:
        tile = keys * (row_bytes(k, dim) + row_bytes(v, dim))
        by_registers = 65536 // (-(-facts["registers"] // 8) * 8 * threads)
        by_memory = int(all_kb * 1024 // (shared + 1024)) if shared <= block_kb * 1024 else 0
        resident = min(by_registers, by_memory)
        flight = resident * warps * (stages - 1) * tile / 1024
        issued = len(usual) if usual else 0
        copies = [i for i, name in enumerate(usual or []) if name == "LDGSTS"]
        copying = copies[-1] - copies[0] + 1 if copies else 0
        share = issued * BYTES_PER_CLOCK / (4 * tile)
        out.append(f"| {title} | {facts['registers']} | {facts['spills']} | {shared} | {resident} | {flight:.0f} | {tile} | "
                   f"{issued or '-'} | {copying or '-'} | {f'{100 * share:.0f} %' if issued and arch == '90a' else '-'} |")
        mix = collections.Counter(kind_of(n) for n in usual or [])
        mixes.append(f"| {title} | " + " | ".join(str(mix[kind]) for kind in kinds) + " |")
    return "\n".join(out + ["", "Instructions of a warp for one tile, by kind:\n", *mixes]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="90a", choices=sorted(SHARED))
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=1, help="of a request; more than 2 are the kernel of prompts")
    parser.add_argument("--keep")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(given.keep or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = measure(given.arch, given.head_dim, given.queries, folder)
        print(page(given.arch, given.head_dim, given.queries, rows), end="")


if __name__ == "__main__":
    main()
