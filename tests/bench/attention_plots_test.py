#!/usr/bin/env python3
"""Tables and plots of the attention benchmark, from planted figures."""
import json
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench/plot"), str(ROOT / "tests/bench")]
import attention_kernels  # noqa: E402
import attention_plots  # noqa: E402
import attention_results  # noqa: E402
import attention_tables  # noqa: E402
import collect  # noqa: E402
from planted_results import planted, planted_attention  # noqa: E402


def words(svg):
    return [e.text for e in xml.fromstring(svg).iter() if e.tag.endswith(("text", "title"))]


class Tables(unittest.TestCase):
    def test_rates_and_ratios(self):
        text = attention_tables.cells(planted_attention(), "decode B32 4k")
        # 400 MB in 200 us are 2 TB/s: half of the copy. cuDNN takes twice as long.
        self.assertIn("| bf16 | 200.00 | 5.00 | 2000.0 | 50.0 | 44.4 | 0.6 | 50.0 | 2.00 | - | 1.0 |", text)
        self.assertIn("| fp8 | 100.00 | 10.00 | 2000.0 | 50.0 | 44.4 | 1.2 | 100.0 | - | 2.000 | 1.0 |", text)
        self.assertIn("| int4 | paged_attention: unsupported: head_dim | - |", text)
        self.assertEqual(1, len({line.count("|") for line in text.splitlines()}))

    def test_goals_begin_with_the_missed_ones(self):
        lines = attention_tables.goal_table(planted_attention()).splitlines()[2:]
        self.assertEqual(["missed", "met", "best", "-"], [line.split(" | ")[-1].rstrip(" |") for line in lines])
        self.assertIn("| decode B32 4k | bf16 | 50 | % of copy | at least 88 | 95 | missed |", lines)
        self.assertIn("| decode B32 4k | int4 | - | times as quick | at least 2.4 | 3.2 | - |", lines)

    def test_a_page_has_every_group_and_what_was_beside_it(self):
        text = attention_tables.page(planted_attention())
        for word in ("## decode B32 4k", "## prefill causal 8k", "| cuDNN | 9.0.0 |", "| only reading | 4500.0 GB/s |", "1 missed"):
            self.assertIn(word, text)

    def test_nothing_measured_is_a_page_all_the_same(self):
        results = planted_attention()
        results["records"] = []
        self.assertIn("Nothing was measured", attention_tables.page(results))


class Plots(unittest.TestCase):
    def test_the_same_figures_give_the_same_bytes(self):
        for draw in (attention_plots.decode, attention_plots.cudnn):
            self.assertEqual(draw(planted_attention()), draw(json.loads(json.dumps(planted_attention()))))

    def test_decoding_cells_stand_under_both_roofs(self):
        found = words(attention_plots.decode(planted_attention()))
        for word in ("decode B32 4k, fp8: 2000 GB/s", "copy", "only reading"):
            self.assertIn(word, found)
        self.assertFalse(any("prefill" in w for w in found))

    def test_groups_that_differ_in_length_are_one_line(self):
        svg = attention_plots.cudnn(planted_attention())
        found = words(svg)
        self.assertIn("prefill causal 8k, bf16: 0.5", found)
        self.assertEqual(1, found.count("prefill causal"))
        self.assertEqual(1, sum(e.get("stroke-width") == "1.5" and e.get("stroke") != "#000000" for e in xml.fromstring(svg).iter()))

    def test_points_lie_in_the_frame(self):
        for draw in (attention_plots.decode, attention_plots.cudnn):
            for e in xml.fromstring(draw(planted_attention())).iter():
                if e.tag.endswith("circle"):
                    self.assertTrue(0 <= float(e.get("cx")) <= attention_plots.WIDTH and 0 <= float(e.get("cy")) <= attention_plots.HEIGHT)

    def test_nothing_measured_is_a_drawing_all_the_same(self):
        results = planted_attention()
        results["records"] = []
        for draw in (attention_plots.decode, attention_plots.cudnn):
            xml.fromstring(draw(results))


# A loop of two products with a copy before them, a mask that is mostly jumped over, and a rare way that lies behind the loop.
LISTING = """
	.section	.text._Z8decodingILi1EE,"ax",@progbits
        /*0000*/                   S2R R0, SR_TID.X ;
.L_x_1:
        /*0010*/                   LDGSTS.E.BYPASS.128 [R1], desc[UR4][R2.64] ;
        /*0020*/              @P0 BRA `(.L_x_4) ;
        /*0030*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
        /*0040*/              @!P1 BRA `(.L_x_2) ;
        /*0050*/                   FSEL R4, R4, R5, P0 ;
        /*0060*/                   FSEL R5, R4, R5, P0 ;
.L_x_2:
        /*0070*/                   BSSY B0, `(.L_x_3) ;
        /*0080*/              @P2 BRA `(.L_x_3) ;
        /*0090*/                   FMUL R4, R4, R5 ;
        /*00a0*/                   BSYNC B0 ;
.L_x_3:
        /*00b0*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
        /*00c0*/                   BRA.U !UP0, `(.L_x_1) ;
        /*00d0*/                   EXIT ;
.L_x_4:
        /*00e0*/                   IADD3 R1, R1, 0x1, RZ ;
        /*00f0*/                   BRA `(.L_x_1) ;
	.section	.debug_line,"",@progbits
        /*0000*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
"""


class Kernels(unittest.TestCase):
    def test_the_usual_way_has_all_products_and_no_more(self):
        code = attention_kernels.functions(LISTING)
        self.assertEqual(["_Z8decodingILi1EE"], list(code))
        way = attention_kernels.tile_loop(attention_kernels.blocks_of(code["_Z8decodingILi1EE"]))
        self.assertEqual(["LDGSTS", "BRA", "HMMA", "BRA", "BSSY", "BRA", "HMMA", "BRA"], way)

    def test_every_instruction_is_of_a_kind(self):
        self.assertEqual(["mma", "shared loads", "copies", "exp2", "shifts", "logic", "other"],
                         [attention_kernels.kind_of(n) for n in ("HMMA", "LDSM", "LDGSTS", "MUFU", "SHF", "LOP3", "IMAD")])

    def test_bytes_of_a_row_count_its_scales(self):
        self.assertEqual([256, 132, 132, 80], [attention_kernels.row_bytes(e, 128) for e in ("bf16", "kv_fp8", "kv_int8", "kv_int4")])


class Collecting(unittest.TestCase):
    def test_both_benchmarks_leave_their_files(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder, root = pathlib.Path(scratch) / "run", pathlib.Path(scratch) / "root"
            folder.mkdir()
            (folder / "gemm.json").write_text(json.dumps(planted()))
            (folder / "attention.json").write_text(json.dumps(planted_attention()))
            names = sorted(p.relative_to(root).as_posix() for p in collect.collect(folder, root))
            self.assertEqual(["bench/results/2026-01-02-gpu-attention.json", "bench/results/2026-01-02-gpu-attention.md",
                              "bench/results/2026-01-02-gpu-gemm.json", "bench/results/2026-01-02-gpu-gemm.md",
                              "docs/images/attention_cudnn.svg", "docs/images/attention_decode.svg",
                              "docs/images/gemm_ratio.svg", "docs/images/gemm_roofline.svg"], names)
            self.assertEqual(planted_attention(), json.loads((root / "bench/results/2026-01-02-gpu-attention.json").read_text()))

    def test_what_was_measured_after_a_fault_is_added(self):
        with tempfile.TemporaryDirectory() as scratch:
            later = planted_attention()
            later["records"] = [{**later["records"][2], "seconds": 5e-5, "spread": 0, "floor_seconds": 1e-5}, later["records"][0]]
            for name, results in (("attention.json", planted_attention()), ("attention.2.json", later)):
                (pathlib.Path(scratch) / name).write_text(json.dumps(results))
            results = attention_results.load_folder(scratch)
            self.assertEqual(5, len(results["records"]))
            self.assertEqual(5, sum(bool(r["seconds"]) for r in results["records"]))

    def test_an_empty_folder_is_refused(self):
        with tempfile.TemporaryDirectory() as scratch, self.assertRaises(SystemExit):
            collect.collect(pathlib.Path(scratch), pathlib.Path(scratch) / "root")


if __name__ == "__main__":
    unittest.main()
