"""collect.py FOLDER [ROOT]: of a folder that scripts/gpu left, the results and plots that the project keeps.

  ROOT/bench/results/DATE-gpu-gemm.md and .json, ROOT/docs/images/gemm_roofline.svg and gemm_ratio.svg
"""
import json
import pathlib
import sys

import gemm_plots
import gemm_tables
from gemm_results import load_folder


def collect(folder, root):
    """The files that were written."""
    results = load_folder(folder)
    if results["facts"]["target"] != "cuda":
        raise SystemExit(f"collect: {folder / 'gemm.json'} was not measured on a GPU")
    stem = root / "bench/results" / f"{results['facts']['date']}-gpu-gemm"
    images = root / "docs/images"
    stem.parent.mkdir(parents=True, exist_ok=True), images.mkdir(parents=True, exist_ok=True)
    records = ",\n".join(json.dumps(r) for r in results["records"])
    rest = {key: value for key, value in results.items() if key != "records"}
    stem.with_suffix(".json").write_text(json.dumps(rest)[:-1] + ',\n"records": [\n' + records + "]}\n")
    parts = ["# GEMM on a GPU\n", "docs/benchmarks.md says what is measured and how.\n", gemm_tables.page(results, every_cell=False)]
    steps = folder / "steps.txt"
    if steps.exists():
        parts += ["The run's steps:\n", "```\n" + steps.read_text() + "```\n"]
    parts += ["Every cell:\n", gemm_tables.cells(results)]
    stem.with_suffix(".md").write_text("\n".join(parts))
    written = [stem.with_suffix(".md"), stem.with_suffix(".json")]
    for name, draw in (("gemm_roofline.svg", gemm_plots.roofline), ("gemm_ratio.svg", gemm_plots.ratio)):
        (images / name).write_text(draw(results))
        written.append(images / name)
    return written


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    root = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else __file__).resolve()
    for path in collect(folder, root if len(sys.argv) == 3 else root.parents[2]):
        print(path)
    if any((folder / "golden").glob("*/*.txt")):
        print(f"what the device's primitives answered: cp -r {folder / 'golden'}/. tests/golden (docs/fidelity.md)")


if __name__ == "__main__":
    main()
