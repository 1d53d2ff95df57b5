"""attention_tables.py RESULTS.json: Markdown tables of what build/bench_attention or build/bench_attention_cuda --json left."""
import sys

from attention_results import beside, groups, kv_rate, of_cudnn
from gemm_results import load, ran
from gemm_tables import facts, table


def goal_table(results):
    """Every goal with its figure, the missed ones first."""
    lines = []
    for verdict in ("missed", "met", "best", "-"):
        for r in results["records"]:
            for g in r.get("goals", []):
                if g["verdict"] != verdict:
                    continue
                sign = "at most" if g["most"] else "at least"
                lines.append([r["group"], r["cell"], "-" if g["figure"] is None else f"{g['figure']:.3g}", g["what"],
                              f"{sign} {g['must']:g}", f"{g['best']:g}" if g["best"] else "-", verdict])
    return table(["group", "cell", "figure", "of", "goal", "beyond it", ""], lines) if lines else ""


def goal_count(results):
    """{verdict: how many}"""
    count = {}
    for r in results["records"]:
        for g in r.get("goals", []):
            count[g["verdict"]] = count.get(g["verdict"], 0) + 1
    return count


def cells(results, group):
    f = results["facts"]
    scale, unit = (1e-12, "TFLOP/s") if f["target"] == "cuda" else (1e-9, "GFLOP/s")
    lines = []
    for r in results["records"]:
        if r["group"] != group:
            continue
        if not r.get("seconds"):
            lines.append([r["cell"], r.get("error", "")] + ["-"] * 9)
            continue
        s, kv, rate = r["seconds"], kv_rate(r), f["operations_per_second"].get("f16" if r["cache"] == "f16" else "bf16")
        other, rival = beside(results, r), of_cudnn(r)
        lines.append([r["cell"], f"{s * 1e6:.2f}", f"{r['operations'] / s * scale:.2f}" if r["operations"] else "-", f"{kv * 1e-9:.1f}",
                      f"{100 * kv / f['copy_bytes_per_second']:.1f}", f"{100 * kv / f['read_bytes_per_second']:.1f}",
                      f"{100 * r['operations'] / s / rate:.1f}" if rate else "-", f"{100 * r['floor_seconds'] / s:.1f}",
                      f"{rival:.2f}" if rival else "-", f"{other['seconds'] / s:.3f}" if other else "-", f"{100 * r['spread']:.1f}"])
    return table(["cell", "us", unit, "GB/s", "% of copy", "% of reading", "% of rate", "% of floor", "x cuDNN", "x cell beside",
                  "spread %"], lines)


def page(results):
    count = goal_count(results)
    parts = [facts(results)]
    if count:
        said = ", ".join(f"{count[v]} {words}" for v, words in (("missed", "missed"), ("met", "met"), ("best", "met with the figure beyond them, too"),
                                                                ("-", "without a figure")) if v in count)
        parts += [f"Goals: {said}.\n", goal_table(results)]
    for group in groups(results):
        parts += [f"## {group}\n", cells(results, group)]
    if not ran(results):
        parts.append("Nothing was measured.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(page(load(sys.argv[1])), end="")
