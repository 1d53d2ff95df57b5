#!/usr/bin/env python3
"""Tables and plots of the GEMM benchmark, from planted figures."""
import json
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench/plot"), str(ROOT / "tests/bench")]
import collect  # noqa: E402
import gemm_plots  # noqa: E402
import gemm_results  # noqa: E402
import gemm_tables  # noqa: E402
from planted_results import planted  # noqa: E402


def words(svg):
    return [e.text for e in xml.fromstring(svg).iter() if e.tag.endswith(("text", "title"))]


class Figures(unittest.TestCase):
    def test_ratios_say_how_many_times_as_quick(self):
        found = gemm_results.ratios(planted(), "w4", 1, "heuristic")
        self.assertEqual([(4.0, "one"), (1.0, "two")], [(round(v, 9), layer) for v, layer in found])
        self.assertAlmostEqual(2.0, gemm_results.geometric_mean([v for v, _ in found]))

    def test_goals_hold_from_their_row_on(self):
        results = planted()
        self.assertEqual([3, 3, 3, 2.6, 1.9, 0.96],
                         [gemm_results.goal(results, "w4", m, "heuristic") for m in (1, 15, 16, 32, 100, 10000)])
        self.assertIsNone(gemm_results.goal(results, "bf16", 1, "heuristic"))

    def test_what_did_not_run_counts_nowhere(self):
        self.assertEqual([(2.0, "one")], gemm_results.ratios(planted(), "w4", 64, "heuristic"))
        self.assertEqual([], gemm_results.ratios(planted(), "w4", 64, "best"))


class Tables(unittest.TestCase):
    def test_ratio_table(self):
        text = gemm_tables.ratio_table(planted(), "heuristic")
        self.assertIn("| w4 | 2.00 (1.00) | 2.00 (2.00) |", text)
        self.assertIn("| goal | 3.00 | 1.90 |", text)
        self.assertIn("| bf16 | 1.00 (1.00) | - |", text)

    def test_floor_by_bytes(self):
        text = gemm_tables.floor_by_bytes(planted())
        self.assertIn("12 to 60 MB, goal 75", text)
        self.assertIn("| w4 | 100 | 25 |", text)

    def test_every_cell_and_its_error(self):
        text = gemm_tables.cells(planted())
        self.assertEqual(2 + 6, len(text.splitlines()))
        self.assertIn("gemm: unsupported: plan", text)
        self.assertEqual(1, len({line.count("|") for line in text.splitlines()}))

    def test_better_plans_are_named(self):
        results = planted()
        self.assertEqual("", gemm_tables.plan_table(results))
        results["records"][3]["plans"] = {"slower": 5e-6, "better": 2e-6, "failed": None}
        results["records"][2]["plans"] = {"as good": 0.99e-6}
        text = gemm_tables.plan_table(results)
        self.assertIn("| two | 1 | w4 | 2.00 | better | a plan |", text)
        self.assertEqual(3, len(text.splitlines()))

    def test_a_run_cut_off_says_so(self):
        results = planted()
        self.assertNotIn("cut off", gemm_tables.page(results))
        results["facts"]["complete"] = False
        self.assertIn("cut off", gemm_tables.page(results))

    def test_host_results_have_no_rivals(self):
        results = planted()
        results["facts"].update({"target": "host", "operations_per_second": {}})
        for r in results["records"]:
            r.update({"heuristic_seconds": None, "best_seconds": None})
        text = gemm_tables.page(results)
        self.assertIn("GFLOP/s", text)
        self.assertNotIn("cuBLASLt", text)


class Plots(unittest.TestCase):
    def test_the_same_figures_give_the_same_bytes(self):
        for draw in (gemm_plots.roofline, gemm_plots.ratio):
            self.assertEqual(draw(planted()), draw(json.loads(json.dumps(planted()))))

    def test_roofline_has_every_format_and_every_roof(self):
        found = words(gemm_plots.roofline(planted()))
        self.assertEqual(3, sum("TFLOP/s" in w and "," in w for w in found))
        self.assertIn("w4, m 1: 5 TFLOP/s", found)  # of 10 and 2.5
        for roof in ("bf16", "fp8"):
            self.assertIn(roof, found)
        self.assertIn("a planted device", found[0])

    def test_points_lie_in_the_frame(self):
        for draw in (gemm_plots.roofline, gemm_plots.ratio):
            for e in xml.fromstring(draw(planted())).iter():
                if e.tag.endswith("circle"):
                    self.assertTrue(0 <= float(e.get("cx")) <= gemm_plots.WIDTH and 0 <= float(e.get("cy")) <= gemm_plots.HEIGHT)

    def test_ratio_has_a_line_for_each_format(self):
        found = words(gemm_plots.ratio(planted()))
        self.assertIn("w4, m 1: 2", found)
        self.assertIn("bf16, m 1: 1", found)

    def test_nothing_measured_is_a_drawing_all_the_same(self):
        results = planted()
        results["records"] = []
        for draw in (gemm_plots.roofline, gemm_plots.ratio):
            xml.fromstring(draw(results))


class Collecting(unittest.TestCase):
    def test_files_are_named_after_the_day(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder, root = pathlib.Path(scratch) / "run", pathlib.Path(scratch) / "root"
            folder.mkdir()
            (folder / "gemm.json").write_text(json.dumps(planted()))
            (folder / "steps.txt").write_text("bench_gemm ok\n")
            names = sorted(p.relative_to(root).as_posix() for p in collect.collect(folder, root))
            self.assertEqual(["bench/results/2026-01-02-gpu-gemm.json", "bench/results/2026-01-02-gpu-gemm.md",
                              "docs/images/gemm_ratio.svg", "docs/images/gemm_roofline.svg"], names)
            page = (root / "bench/results/2026-01-02-gpu-gemm.md").read_text()
            self.assertEqual(planted(), json.loads((root / "bench/results/2026-01-02-gpu-gemm.json").read_text()))
            for word in ("a planted device", "0000000", "bench_gemm ok"):
                self.assertIn(word, page)

    def test_what_was_measured_after_a_fault_is_added(self):
        with tempfile.TemporaryDirectory() as scratch:
            later = planted()
            later["records"] = [{**later["records"][5], "seconds": 5e-6, "spread": 0, "floor_seconds": 1e-6}, later["records"][0]]
            for name, results in (("gemm.json", planted()), ("gemm.2.json", later)):
                (pathlib.Path(scratch) / name).write_text(json.dumps(results))
            results = gemm_results.load_folder(scratch)
            self.assertEqual(6, len(results["records"]))
            self.assertEqual(2, len(gemm_results.ratios(results, "w4", 64, "heuristic")))

    def test_results_of_the_host_are_refused(self):
        with tempfile.TemporaryDirectory() as scratch:
            results = planted()
            results["facts"]["target"] = "host"
            (pathlib.Path(scratch) / "gemm.json").write_text(json.dumps(results))
            with self.assertRaises(SystemExit):
                collect.collect(pathlib.Path(scratch), pathlib.Path(scratch) / "root")


if __name__ == "__main__":
    unittest.main()
