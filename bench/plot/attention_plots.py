"""attention_plots.py RESULTS.json FOLDER: attention_decode.svg and attention_cudnn.svg from what build/bench_attention_cuda
--json left."""
from attention_results import family, kv_rate, of_cudnn
from drawing import HUES, Axes, Drawing, decades, write_plots
from gemm_plots import HEIGHT, LEFT, LEGEND, TOP, WIDTH, head, legend
from gemm_results import load, ran


def series(records, name_of, x_of, y_of):
    """{name: [(x, y, record)] by x}"""
    found = {}
    for r in records:
        found.setdefault(name_of(r), []).append((x_of(r), y_of(r), r))
    return {name: sorted(points, key=lambda p: p[:2]) for name, points in found.items()}


def axes_of(drawing, x_marks, y_marks, x_name, y_name):
    axes = Axes(drawing, LEFT, TOP, WIDTH - LEFT - LEGEND - 10, HEIGHT - TOP - 50, (x_marks[0], x_marks[-1]), (y_marks[0], y_marks[-1]))
    axes.frame(x_name, y_name, x_marks, y_marks)
    return axes


def decode(results):
    """Bytes of K and V against the rate at which they are read, a point per decoding cell; the roofs are the copy and the
    kernel that only reads, of the same run."""
    facts = results["facts"]
    drawing = Drawing(WIDTH, HEIGHT)
    head(drawing, results, "Decoding")
    lines = series([r for r in ran(results) if r["group"].startswith("decode") and r["cell"] == r["cache"]], lambda r: r["cache"],
                   lambda r: r["kv_bytes"] * 1e-6, lambda r: kv_rate(r) * 1e-9)
    if not lines:
        return drawing.text()
    points = [p for found in lines.values() for p in found]
    roofs = [("copy", facts["copy_bytes_per_second"] * 1e-9), ("only reading", facts["read_bytes_per_second"] * 1e-9)]
    axes = axes_of(drawing, decades(min(x for x, _, _ in points), max(x for x, _, _ in points)),
                   decades(min(y for _, y, _ in points), max([y for _, y, _ in points] + [roof for _, roof in roofs])),
                   "MB of K and V", "GB/s of K and V")
    for i, (name, roof) in enumerate(roofs):
        drawing.line([axes.at(axes.x[0], roof), axes.at(axes.x[1], roof)], "#000000", 1, "4 3" if i else None)
        x, y = axes.at(axes.x[0], roof)
        drawing.word(x + 4 + 60 * i, y - 4, name)
    hues = {name: HUES[i % len(HUES)] for i, name in enumerate(lines)}
    for name, found in lines.items():
        for x, y, r in found:
            drawing.point(*axes.at(x, y), hues[name], f"{r['group']}, {r['cell']}: {y:.4g} GB/s")
    legend(drawing, list(lines), hues)
    return drawing.text()


def cudnn(results):
    """How many times as quick as cuDNN, by the longest sequence; groups that differ in that alone are one line."""
    drawing = Drawing(WIDTH, HEIGHT)
    head(drawing, results, "Times as quick as cuDNN")
    rivals = [r for r in ran(results) if of_cudnn(r)]
    lines = series(rivals, lambda r: family(r) + (" f16" if r["cache"] == "f16" else ""), lambda r: r["longest"], of_cudnn)
    if not lines:
        return drawing.text()
    points = [p for found in lines.values() for p in found]
    lengths = sorted({x for x, _, _ in points})
    x_marks = [2 ** e for e in range(30) if lengths[0] / 2 < 2 ** e < lengths[-1] * 2]
    x_marks = x_marks if len(x_marks) > 1 else [lengths[0] / 2, lengths[0] * 2]
    y_marks = sorted({mark for mark in (1 / 16, 1 / 8, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
                      if min(y for _, y, _ in points) / 2 < mark < max(y for _, y, _ in points) * 2} | {0.5, 1, 2})
    axes = axes_of(drawing, x_marks, y_marks, "keys of a sequence", "times as quick")
    drawing.line([axes.at(axes.x[0], 1), axes.at(axes.x[1], 1)], "#000000", 1.5)
    hues = {name: HUES[i % len(HUES)] for i, name in enumerate(lines)}
    for name, found in lines.items():
        inside = [axes.at(x, y) for x, y, _ in found if axes.inside(x, y)]
        if len(inside) > 1:
            drawing.line(inside, hues[name], 1.5)
        for x, y, r in found:
            if axes.inside(x, y):
                drawing.point(*axes.at(x, y), hues[name], f"{r['group']}, {r['cell']}: {y:.3g}")
    legend(drawing, list(lines), hues)
    return drawing.text()


if __name__ == "__main__":
    write_plots(load, {"attention_decode.svg": decode, "attention_cudnn.svg": cudnn}, __doc__)
