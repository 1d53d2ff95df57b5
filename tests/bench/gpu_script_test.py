#!/usr/bin/env python3
"""scripts/gpu with programs that only pretend: order, limits, and that one failure does not stop the rest."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bench"))
from planted_results import planted, planted_attention  # noqa: E402

PROGRAMS = {
    "a.good.cuda": "echo '[  PASSED  ] 3 tests.'",
    "b.bad.cuda": "echo '[  PASSED  ] 1 test.'; echo '[  FAILED  ] 1 test, listed below:'; echo '[  FAILED  ] norm.agrees'; exit 1",
    "c.slow.cuda": "exec sleep 60",
    "d.dies.cuda": "kill -SEGV $$",
    "probe_cuda": "mkdir -p $2/sm_90; echo x >$2/sm_90/shuffle.txt; echo recorded shuffle",
    "probe_host": "echo 'shuffle sm_90 differs'; exit 1",
    "bench_gemm_cuda": "[ \"$5\" = --without ] || { echo 'fault: fp8 block'; exit 3; }; echo \"without $6\"; echo \"seconds $2\"; cp \"$PLANTED\" \"$4\"; echo 'copy: 1 GB/s'; echo; echo 'Times as quick as planted'; echo 'w4 2.00'",
    "bench_attention_cuda": "[ \"$5\" = --without ] || { echo 'fault: decode B1: fp8'; exit 3; }; echo \"without $6\"; echo \"seconds $2\"; cp \"$PLANTED_ATTENTION\" \"$4\"; echo 'copy: 2 GB/s'; echo; echo 'Goals: 1 missed'; echo '  decode B1: bf16 planted'",
    "bench_norm_cuda": "exit 3",
    "bench_rope_cuda": "echo \"commit $TENON_COMMIT\"",
}


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        base = pathlib.Path(cls.scratch.name)
        cls.out = base / "out"
        tools, binaries = base / "tools", base / "binaries"
        tools.mkdir(), binaries.mkdir()
        cls.program(tools / "nvidia-smi", 'echo "GPU 0: planted"')
        cls.program(tools / "compute-sanitizer", 'echo "ERROR SUMMARY: 0 errors"')
        for name, text in PROGRAMS.items():
            cls.program(binaries / name, text)
        (binaries / "commit").write_text("1234567\n")
        (base / "planted.json").write_text(json.dumps(planted()))
        (base / "attention.json").write_text(json.dumps(planted_attention()))
        cls.program(binaries / "gemm.gemm.cuda", "echo '[  PASSED  ] 2 tests.'")
        cls.environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "TEST_LIMIT": "2",
                           "PLANTED": str(base / "planted.json"), "PLANTED_ATTENTION": str(base / "attention.json")}
        cls.tools, cls.binaries = tools, binaries
        cls.run_of = cls.script("--binaries", binaries, "--out", cls.out, "--seconds", "100")
        cls.summary = (cls.out / "summary.txt").read_text()
        cls.steps = [line.split(None, 1)[0] for line in (cls.out / "steps.txt").read_text().splitlines()]

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @staticmethod
    def program(path, text):
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)

    @classmethod
    def script(cls, *arguments):
        return subprocess.run([str(ROOT / "scripts/gpu"), *map(str, arguments)], env=cls.environment, capture_output=True,
                              text=True, timeout=100, check=False)

    def test_steps_come_in_their_order(self):
        self.assertEqual(["facts", "tests", "probe", "sanitizer", "bench_gemm", "bench_gemm.2", "bench_attention",
                          "bench_attention.2", "bench_norm", "bench_rope"], self.steps)

    def test_failures_are_named_and_stop_nothing(self):
        self.assertEqual(1, self.run_of.returncode)
        for word in ("test programs: 5, of which 5 ran to an end and 2 passed", "cases: 6 passed, 1 failed, 0 skipped",
                     "failed: b.bad.cuda (status 1)", "failed: c.slow.cuda (status 124)", "failed: d.dies.cuda (status 139)",
                     "norm.agrees", "golden answers: 1 cases", "shuffle sm_90 differs", "ERROR SUMMARY: 0 errors", "w4 2.00",
                     "Goals: 1 missed", "decode B1: bf16 planted",
                     "commit 1234567"):
            self.assertIn(word, self.summary)

    def test_programs_know_their_commit(self):
        self.assertEqual("commit 1234567\n", (self.out / "bench_rope.log").read_text())

    def test_the_benchmarks_share_what_is_left(self):
        seconds = [int((self.out / f"bench_{family}.2.log").read_text().split("seconds ")[1].split()[0]) for family in ("gemm", "attention")]
        self.assertTrue(5 <= seconds[0] <= 30, seconds)
        self.assertTrue(5 <= seconds[1] <= 50, seconds)

    def test_what_faults_is_left_out(self):
        self.assertIn("without fp8 block", (self.out / "bench_gemm.2.log").read_text())
        self.assertEqual(planted(), json.loads((self.out / "gemm.2.json").read_text()))
        self.assertIn("without decode B1: fp8", (self.out / "bench_attention.2.log").read_text())
        self.assertEqual(planted_attention(), json.loads((self.out / "attention.2.json").read_text()))

    def test_a_run_without_failures_says_so(self):
        away = ("b.bad.cuda", "c.slow.cuda", "d.dies.cuda", "probe_host", "bench_norm_cuda", "bench_gemm_cuda",
                "bench_attention_cuda")
        for name in away:
            (self.binaries / name).rename(self.binaries / (name + ".away"))
        try:
            run = self.script("--binaries", self.binaries, "--out", self.out.parent / "clean", "--seconds", "80")
        finally:
            for name in away:
                (self.binaries / (name + ".away")).rename(self.binaries / name)
        self.assertEqual(0, run.returncode, run.stdout + run.stderr)

    def test_what_has_no_time_is_named(self):
        self.script("--binaries", self.binaries, "--out", self.out.parent / "short", "--seconds", "3")
        self.assertIn("no time left", (self.out.parent / "short" / "steps.txt").read_text())

    def test_no_gpu_is_an_error(self):
        self.program(self.tools / "nvidia-smi", "exit 9")
        try:
            run = self.script("--binaries", self.binaries, "--out", self.out.parent / "none")
        finally:
            self.program(self.tools / "nvidia-smi", 'echo "GPU 0: planted"')
        self.assertEqual(1, run.returncode)
        self.assertIn("no GPU here", run.stderr)


if __name__ == "__main__":
    unittest.main()
