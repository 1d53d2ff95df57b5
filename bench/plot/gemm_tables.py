"""gemm_tables.py RESULTS.json: Markdown tables of what build/bench_gemm or build/bench_gemm_cuda --json left."""
import sys

from gemm_results import formats, geometric_mean, goal, load, of_floor, ran, ratios, rows


def table(head, lines):
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|"] +
                     ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def facts(results):
    f = results["facts"]
    rates = ", ".join(f"{unit} {rate * 1e-12:.1f} TFLOP/s" for unit, rate in sorted(f["operations_per_second"].items()))
    lines = [["device", f["device"]], ["driver", f["driver"] or "-"], ["date", f["date"]], ["commit", f["commit"]],
             ["command", f"`{f['command']}`"], ["copy, read plus written", f"{f['copy_bytes_per_second'] * 1e-9:.1f} GB/s"]]
    if f.get("read_bytes_per_second"):
        lines.append(["only reading", f"{f['read_bytes_per_second'] * 1e-9:.1f} GB/s"])
    if "cudnn" in f:
        lines.append(["cuDNN", f["cudnn"].removeprefix("cuDNN ") or "none"])
    if rates:
        lines.append(["products of 8192 x 8192 x 8192 by cuBLASLt", rates])
    clocks = sorted(r["clock_mhz"] for r in ran(results) if r.get("clock_mhz"))
    if clocks:
        lines.append(["clock while measuring", f"{clocks[0]} to {clocks[-1]} MHz, median {clocks[len(clocks) // 2]}"])
    if not f["complete"]:
        lines.append(["cells", "cut off: not all were measured"])
    return table(["", ""], lines)


def ratio_table(results, against):
    """Geometric mean, worst layer in brackets, by format and M; under it the goal."""
    lines = []
    for name in formats(results):
        found = {m: ratios(results, name, m, against) for m in rows(results)}
        if not any(found.values()):
            continue
        lines.append([name] + [f"{geometric_mean([v for v, _ in f]):.2f} ({min(f)[0]:.2f})" if f else "-" for f in found.values()])
        goals = [goal(results, name, m, against) for m in rows(results)]
        if any(goals):
            lines.append(["goal"] + [f"{g:.2f}" if g else "-" for g in goals])
    return table(["format \\ m"] + [str(m) for m in rows(results)], lines) if lines else ""


def floor_table(results):
    lines = []
    for name in formats(results):
        parts = [of_floor(results, name, m) for m in rows(results)]
        if any(parts):
            lines.append([name] + [f"{100 * geometric_mean(p):.0f}" if p else "-" for p in parts])
    return table(["format \\ m"] + [str(m) for m in rows(results)], lines)


def floor_by_bytes(results):
    """Part of the floor at m <= 16, by bytes of the weight."""
    classes = results["goals"]["floor"]
    lines = []
    for name in formats(results):
        line = [name]
        for c in classes:
            parts = [r["floor_seconds"] / r["seconds"] for r in ran(results)
                     if r["format"] == name and r["m"] <= 16 and c["from"] <= r["weight_bytes"] < c["to"]]
            line.append(f"{100 * geometric_mean(parts):.0f}" if parts else "-")
        if any(cell != "-" for cell in line[1:]):
            lines.append(line)
    head = [f"{c['name']}" + (f", goal {100 * c['least']:.0f}" if c["least"] else "") for c in classes]
    return table(["format"] + head, lines)


def rate_table(results):
    """GFLOP/s of the host."""
    lines = []
    for name in formats(results):
        cells = {m: [r["operations"] / r["seconds"] * 1e-9 for r in ran(results) if r["format"] == name and r["m"] == m]
                 for m in rows(results)}
        lines.append([name] + [f"{geometric_mean(v):.2f}" if v else "-" for v in cells.values()])
    return table(["format \\ m"] + [str(m) for m in rows(results)], lines)


def cells(results):
    scale, unit = (1e-12, "TFLOP/s") if results["facts"]["target"] == "cuda" else (1e-9, "GFLOP/s")
    lines = []
    for r in results["records"]:
        line = [r["layer"], str(r["m"]), r["format"]]
        if not r.get("seconds"):
            lines.append(line + [r.get("error", "")] + ["-"] * 6)
            continue
        s = r["seconds"]
        line += [f"{s * 1e6:.2f}", f"{r['bytes'] / s * 1e-9:.1f}", f"{r['operations'] / s * scale:.2f}",
                 f"{100 * r['floor_seconds'] / s:.0f}", f"{100 * r['spread']:.1f}"]
        line += [f"{r[key] / s:.2f}" if r.get(key) else "-" for key in ("heuristic_seconds", "best_seconds")]
        lines.append(line)
    return table(["layer", "m", "format", "us", "GB/s", unit, "% of floor", "spread %", "x heuristic", "x best"], lines)


def plan_table(results, least=1.03):
    """Cells in which another plan was quicker than the one that was chosen (runs with --every-plan)."""
    lines = []
    for r in ran(results):
        better = sorted((seconds, plan) for plan, seconds in r.get("plans", {}).items() if seconds and r["seconds"] / seconds >= least)
        if better:
            lines.append([r["layer"], str(r["m"]), r["format"], f"{r['seconds'] / better[0][0]:.2f}", better[0][1], r.get("plan", "")])
    return table(["layer", "m", "format", "times as quick", "plan", "instead of"], lines) if lines else ""


def page(results, every_cell=True):
    host = results["facts"]["target"] != "cuda"
    parts = [facts(results)]
    if host:
        parts += ["GFLOP/s, geometric mean over the layers:\n", rate_table(results)]
    for against, title in (("heuristic", "Times as quick as cuBLASLt's heuristic"), ("best", "Times as quick as the best of cuBLASLt's algorithms")):
        if text := ratio_table(results, against):
            parts += [f"{title}: geometric mean over the layers, the worst layer in brackets\n", text]
    if not host:
        parts += ["Percent of the floor, geometric mean over the layers:\n", floor_table(results),
                  "Percent of the floor at m <= 16, by bytes of the weight:\n", floor_by_bytes(results)]
    if text := plan_table(results):
        parts += ["Plans that were quicker than the chosen one:\n", text]
    if every_cell:
        parts += ["Every cell:\n", cells(results)]
    return "\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(page(load(sys.argv[1])), end="")
