"""gemm_plots.py RESULTS.json FOLDER: gemm_roofline.svg and gemm_ratio.svg from what build/bench_gemm_cuda --json left."""
from drawing import HUES, Axes, Drawing, decades, write_plots
from gemm_results import formats, geometric_mean, goal, load, ran, ratios, rows

WIDTH, HEIGHT, LEFT, TOP, LEGEND = 860, 420, 64, 34, 190


def hues(results):
    names = formats(results)
    return {name: HUES[i % len(HUES)] for i, name in enumerate(names)}


def head(drawing, results, title):
    facts = results["facts"]
    drawing.word(LEFT, 18, f"{title}: {facts['device']}, {facts['date']}, commit {facts['commit']}")


def legend(drawing, names, of):
    for i, name in enumerate(names):
        y = TOP + 10 + 16 * i
        drawing.point(WIDTH - LEGEND + 14, y - 4, of[name], radius=4)
        drawing.word(WIDTH - LEGEND + 24, y, name)


def roofline(results):
    """Operations per byte against operations per second under the roofs of the same run: a point per format and M, the
    geometric means over the layers."""
    facts, of, cells = results["facts"], hues(results), []
    for name in formats(results):
        for m in rows(results):
            layers = [r for r in ran(results) if r["format"] == name and r["m"] == m]
            if layers:
                cells.append((name, m, geometric_mean([r["operations"] / r["bytes"] for r in layers]),
                              geometric_mean([r["operations"] / r["seconds"] * 1e-12 for r in layers])))
    drawing = Drawing(WIDTH, HEIGHT)
    head(drawing, results, "Roofline")
    if not cells:
        return drawing.text()
    copy, rates = facts["copy_bytes_per_second"], facts["operations_per_second"]
    across, up = [x for _, _, x, _ in cells], [y for _, _, _, y in cells]
    x_marks = decades(min(across), max(across + [rate / copy for rate in rates.values()]))
    y_marks = decades(min(up), max(up + [rate * 1e-12 for rate in rates.values()]))
    axes = Axes(drawing, LEFT, TOP, WIDTH - LEFT - LEGEND - 10, HEIGHT - TOP - 50, (x_marks[0], x_marks[-1]),
                (y_marks[0], y_marks[-1]))
    axes.frame("operations per byte", "TFLOP/s", x_marks, y_marks)
    # The memory's roof, from the frame's edge to the highest rate.
    most = max(list(rates.values()) + [max(up) * 1e12])
    start = max(x_marks[0], y_marks[0] * 1e12 / copy)
    end = min(x_marks[-1], most / copy)
    if start < end:
        drawing.line([axes.at(start, start * copy * 1e-12), axes.at(end, end * copy * 1e-12)], "#000000", 1.5)
    for name, rate in sorted(rates.items()):
        if rate / copy < x_marks[-1]:
            x, y = axes.at(x_marks[-1], rate * 1e-12)
            drawing.line([axes.at(max(rate / copy, x_marks[0]), rate * 1e-12), (x, y)], "#000000", 1, "4 3")
            drawing.word(x - 4, y - 4, name, "end")
    for name, m, x, y in cells:
        drawing.point(*axes.at(x, y), of[name], f"{name}, m {m}: {y:.4g} TFLOP/s")
    legend(drawing, list(dict.fromkeys(name for name, *_ in cells)), of)
    return drawing.text()


def ratio(results):
    """How many times as quick as cuBLASLt's heuristic, by M: geometric means over the layers; goals dashed."""
    of = hues(results)
    drawing = Drawing(WIDTH, HEIGHT)
    head(drawing, results, "Times as quick as cuBLASLt's heuristic")
    lines = {}
    for name in formats(results):
        points = [(m, geometric_mean([v for v, _ in found])) for m in rows(results)
                  if (found := ratios(results, name, m, "heuristic"))]
        if points:
            lines[name] = points
    if not lines:
        return drawing.text()
    values = [v for points in lines.values() for _, v in points]
    y_marks = [mark for mark in (1 / 64, 1 / 32, 1 / 16, 1 / 8, 0.25, 0.5, 1, 2, 4, 8, 16)
               if min(values) / 2 < mark < max(values) * 2]
    y_marks = sorted(set(y_marks) | {0.5, 1, 2})
    x_marks = rows(results)
    axes = Axes(drawing, LEFT, TOP, WIDTH - LEFT - LEGEND - 10, HEIGHT - TOP - 50, (x_marks[0], max(x_marks[-1], x_marks[0] * 2)),
                (y_marks[0], y_marks[-1]))
    axes.frame("rows of A (tokens)", "times as quick", x_marks, y_marks)
    drawing.line([axes.at(axes.x[0], 1), axes.at(axes.x[1], 1)], "#000000", 1.5)
    for name, points in lines.items():
        drawing.line([axes.at(m, v) for m, v in points], of[name], 1.5)
        for m, v in points:
            drawing.point(*axes.at(m, v), of[name], f"{name}, m {m}: {v:.3g}")
        asked = [(m, goal(results, name, m, "heuristic")) for m, _ in points]
        asked = [axes.at(m, g) for m, g in asked if g and axes.inside(m, g)]
        if len(asked) > 1:
            drawing.line(asked, of[name], 1, "3 3")
    legend(drawing, list(lines), of)
    return drawing.text()


if __name__ == "__main__":
    write_plots(load, {"gemm_roofline.svg": roofline, "gemm_ratio.svg": ratio}, __doc__)
