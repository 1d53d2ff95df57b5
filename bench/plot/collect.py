"""collect.py FOLDER [ROOT]: of a folder that scripts/gpu left, the results and plots that the project keeps.

  ROOT/bench/results/DATE-gpu-gemm.md and .json, DATE-gpu-attention.md and .json; ROOT/docs/images/gemm_roofline.svg,
  gemm_ratio.svg, attention_decode.svg and attention_cudnn.svg; what the run did not measure is left as it is
"""
import json
import pathlib
import sys

import attention_plots
import attention_results
import attention_tables
import gemm_plots
import gemm_results
import gemm_tables


def gemm_page(results, steps):
    return "\n".join(["# GEMM on a GPU\n", "docs/benchmarks.md says what is measured and how.\n",
                      gemm_tables.page(results, every_cell=False), *steps, "Every cell:\n", gemm_tables.cells(results)])


def attention_page(results, steps):
    return "\n".join(["# Attention on a GPU\n", "docs/benchmarks.md says what is measured and how.\n", *steps,
                      attention_tables.page(results)])


# What a program leaves as STEM.json: how it is read, its page, its plots.
KINDS = {
    "gemm": (gemm_results.load_folder, gemm_page, {"gemm_roofline.svg": gemm_plots.roofline, "gemm_ratio.svg": gemm_plots.ratio}),
    "attention": (attention_results.load_folder, attention_page,
                  {"attention_decode.svg": attention_plots.decode, "attention_cudnn.svg": attention_plots.cudnn}),
}


def collect(folder, root):
    """The files that were written."""
    found = [stem for stem in KINDS if (folder / f"{stem}.json").exists()]
    if not found:
        raise SystemExit(f"collect: {folder} has no results")
    images = root / "docs/images"
    (root / "bench/results").mkdir(parents=True, exist_ok=True), images.mkdir(parents=True, exist_ok=True)
    steps = folder / "steps.txt"
    said = ["The run's steps:\n", "```\n" + steps.read_text() + "```\n"] if steps.exists() else []
    written = []
    for stem in found:
        load, page, plots = KINDS[stem]
        results = load(folder)
        if results["facts"]["target"] != "cuda":
            raise SystemExit(f"collect: {folder / stem}.json was not measured on a GPU")
        to = root / "bench/results" / f"{results['facts']['date']}-gpu-{stem}"
        records = ",\n".join(json.dumps(r) for r in results["records"])
        rest = {key: value for key, value in results.items() if key != "records"}
        to.with_suffix(".json").write_text(json.dumps(rest)[:-1] + ',\n"records": [\n' + records + "]}\n")
        to.with_suffix(".md").write_text(page(results, said))
        written += [to.with_suffix(".md"), to.with_suffix(".json")]
        for name, draw in plots.items():
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
