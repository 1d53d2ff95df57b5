#!/usr/bin/env python3
"""report.py RESULTS.json FOLDER: tokenizer.md and tokenizer.svg of what bench/tokenizer/compare left.

report.py --keep RESULTS.json: the same to where the project keeps them, and the tables of docs/tokenizer.md.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "plot"))
from drawing import HUES, Axes, Drawing, decades  # noqa: E402

PEERS = {"tenon": "tenon", "candidate": "tokenizers 1.0.0rc", "tiktoken": "tiktoken", "tokenizers": "tokenizers 0.23"}
RATES = ("cold", "hot", "first", "decode")
TITLES = {"cold": "Encoding, 64 inputs in turn, MB/s", "hot": "Encoding, one input again and again, MB/s",
          "first": "Encoding, what the program has never seen, MB/s", "decode": "Decoding, MB/s"}


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def in_order(results, key):
    return list(dict.fromkeys(r[key] for r in results["records"] if r[key]))


def find(results, vocabulary, text, cell, peer):
    return next((r for r in results["records"] if (r["vocabulary"], r["text"], r["cell"], r["peer"]) == (vocabulary, text, cell, peer)), None)


def median(results, *key):
    found = find(results, *key)
    return found and found["median"]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def ratio(ours, theirs, inverse=False):
    if not ours or not theirs:
        return "-"
    return f"{(theirs / ours if inverse else ours / theirs):.1f}"


def peers(results):
    return [p for p in PEERS if p in in_order(results, "peer")]


def rate_table(results, cell):
    others = [p for p in peers(results) if p != "tenon"]
    rows = []
    for v in in_order(results, "vocabulary"):
        for text in in_order(results, "text"):
            found = {p: median(results, v, text, cell, p) for p in peers(results)}
            ours = find(results, v, text, cell, "tenon")
            rows.append([f"{v}, {text}", number(found.get("tenon")), number(ours and ours["best"]), *(number(found[p]) for p in others),
                         *(ratio(found.get("tenon"), found[p]) for p in others)])
    return table(["", "tenon", "its best", *(PEERS[p] for p in others), *(f"x {PEERS[p]}" for p in others)], rows)


def time_table(results):
    rows = []
    for v in in_order(results, "vocabulary"):
        for cell, words in (("load", "loading"), ("load tokenizer.json", "loading tokenizer.json"), ("letter", "1 MB of one letter")):
            found = {p: median(results, v, "", cell, p) for p in peers(results)}
            if any(found.values()):
                rows.append([f"{v}, {words}", *(number(found[p]) for p in peers(results))])
    return table(["ms", *(PEERS[p] for p in peers(results))], rows)


def other_table(results):
    texts, counted = in_order(results, "text"), results["instructions_per_byte"]
    rows = []
    for v in in_order(results, "vocabulary"):
        threads = find(results, v, "english", "threads", "tenon")
        of = counted.get(v) or {}
        rows.append([v, *(f"{of[t][0]:.1f} / {of[t][1]:.1f}" if t in of else "-" for t in texts), number(threads and threads["median"])])
    return table(["", *(f"{t}, instructions/byte" for t in texts), "two threads over one"], rows)


def page(results):
    f = results["facts"]
    said = table(["", ""], [["device", f["device"]], ["date", f["date"]], ["commit", f["commit"]], ["command", f"`{f['command'].strip()}`"],
                            ["load average at the start", f"{f['load_average']:.1f}"], ["packages", ", ".join(f["packages"])],
                            ["compiler", f["compiler"] + ", -O3, no -march"]]).replace("---:", "---")
    parts = ["# Tokenizers, one core each\n", said,
             f"Medians of {f['rounds']} rounds; each round starts every program anew. All give the same ids on these inputs, or nothing is timed. "
             "[docs/tokenizer.md](../../docs/tokenizer.md) says what is measured.\n"]
    for cell in RATES:
        parts += [f"## {TITLES[cell]}\n", rate_table(results, cell)]
    parts += ["## Milliseconds\n", time_table(results), "## Instructions per byte (first pass / later ones) and threads\n", other_table(results)]
    return "\n".join(parts)


def plot(results):
    """A row per vocabulary and text, a point per tokenizer: encoding, 64 inputs in turn."""
    rows = [(v, t) for v in in_order(results, "vocabulary") for t in in_order(results, "text")]
    names, step, left, top = peers(results), 22, 130, 52
    drawing = Drawing(860, top + step * len(rows) + 60)
    f = results["facts"]
    drawing.word(left, 18, f"Encoding, MB/s (64 inputs in turn): {f['device']}, {f['date']}, commit {f['commit']}")
    values = [m for v, t in rows for p in names if (m := median(results, v, t, "cold", p))]
    marks = decades(min(values), max(values))
    axes = Axes(drawing, left, top, 860 - left - 40, step * len(rows), (marks[0], marks[-1]), (1, 10))
    axes.frame("MB/s", "", marks, [])
    for i, p in enumerate(names):
        drawing.point(left + 170 * i + 4, 36, HUES[i], radius=4)
        drawing.word(left + 170 * i + 14, 40, PEERS[p])
    for n, (v, t) in enumerate(rows):
        y = top + step * n + step / 2
        drawing.word(left - 8, y + 4, f"{v}, {t}", "end")
        found = [(axes.at(m, 1)[0], m, i) for i, p in enumerate(names) if (m := median(results, v, t, "cold", p))]
        if len(found) > 1:
            drawing.line([(min(found)[0], y), (max(found)[0], y)], "#c8d0da")
        for x, m, i in found:
            drawing.point(x, y, HUES[i], f"{v}, {t}, {PEERS[names[i]]}: {number(m)} MB/s", radius=4)
    return drawing.text()


def write(results, folder):
    records = ",\n".join(json.dumps(r) for r in results["records"])
    rest = {key: value for key, value in results.items() if key != "records"}
    (folder / "tokenizer.json").write_text(json.dumps(rest)[:-1] + ', "records": [\n' + records + "]}\n")
    (folder / "tokenizer.md").write_text(page(results))
    (folder / "tokenizer.svg").write_text(plot(results))


BEGIN, END = "<!-- bench/tokenizer/compare --keep writes from here -->\n", "<!-- to here -->"


def summary(results):
    """What docs/tokenizer.md shows."""
    f = results["facts"]
    return "\n".join([f"{f['device']}, {f['date']}, commit {f['commit']}, load average {f['load_average']:.1f} at the start; `{f['command'].strip()}`, medians of {f['rounds']} rounds;"
                      f" [all of it](../bench/results/{f['date']}-tokenizer.md).\n", f"{TITLES['cold']}:\n", rate_table(results, "cold"),
                      "![A row per vocabulary and text, a point per tokenizer](images/tokenizer.svg)\n", f"{TITLES['first']}:\n", rate_table(results, "first"),
                      "Milliseconds:\n", time_table(results), "Instructions per byte (first pass / later ones) and threads:\n", other_table(results)])


def keep(results, root):
    """bench/results/DATE-tokenizer.md and .json, docs/images/tokenizer.svg and the tables between the marks of docs/tokenizer.md."""
    write(results, root / "bench/results")
    for suffix in ("json", "md"):
        (root / f"bench/results/tokenizer.{suffix}").replace(root / f"bench/results/{results['facts']['date']}-tokenizer.{suffix}")
    (root / "bench/results/tokenizer.svg").replace(root / "docs/images/tokenizer.svg")
    page_path = root / "docs/tokenizer.md"
    before, rest = page_path.read_text().split(BEGIN)
    page_path.write_text(before + BEGIN + summary(results) + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--keep":
        keep(json.loads(pathlib.Path(sys.argv[2]).read_text()), pathlib.Path(__file__).resolve().parents[2])
    else:
        folder = pathlib.Path(sys.argv[2])
        folder.mkdir(parents=True, exist_ok=True)
        write(json.loads(pathlib.Path(sys.argv[1]).read_text()), folder)
