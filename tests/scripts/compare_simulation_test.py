#!/usr/bin/env python3
"""scripts/compare_simulation against a program that says what it is told: what is too far off, and how far the runs are apart."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = sys.argv.pop(1)
FIELDS = [f"{p}_{what}_ms" for what in ("ttft", "tpot", "itl", "e2el") for p in ("median", "p99")]
PROGRAM = """#!/usr/bin/env python3
import json, os, sys
if sys.argv[1] == "bench":
    print(json.dumps({"cost_model_error": {"mean": 0.01, "worst": 0.02}}))
elif sys.argv[1] == "simulate":
    print(json.dumps({"policies": [json.loads(os.environ["SIMULATED"])]}))
else:  # run number n takes 10 + n ms
    file = sys.argv[sys.argv.index("--save-result") + 1]
    json.dump({f: 10 + int(file[-6]) for f in json.loads(os.environ["SIMULATED"])}, open(file, "w"))
"""


def compare(limit=None, **simulated):
    """(exit status, stdout, stderr) where runs take 10, 11 and 12 ms and the simulation 11 but for those given."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "tenon"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        values = {f: simulated.get(f.removesuffix("_ms"), 11) for f in FIELDS}
        environment = os.environ | {"SIMULATED": json.dumps(values), "RATES": "20"} | ({"LIMIT": limit} if limit else {})
        done = subprocess.run([sys.executable, SCRIPT, str(program), "model", "trace", folder], capture_output=True, text=True,
                              env=environment)
        return done.returncode, done.stdout, done.stderr


class CompareSimulation(unittest.TestCase):
    def test_agrees(self):
        status, out, err = compare(p99_tpot=12.5)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("| 20 | difference | +0.0 % | +0.0 % | +0.0 % | +13.6 % |", out)

    def test_says_how_far_the_runs_are_apart(self):
        self.assertIn("| 20 | its spread | 18.2 % |", compare()[1])

    def test_too_far_off(self):
        for name in ("median_ttft", "p99_ttft", "median_tpot", "p99_tpot"):
            for value in (9, 13, float("nan")):
                status, _, err = compare(**{name: value})
                self.assertEqual(status, 1, name)
                self.assertIn(f"more than 15 % off: {name}_ms at 20: ", err)

    def test_only_these_four_count(self):
        self.assertEqual(compare(p99_itl=20, median_e2el=5)[0], 0)

    def test_limit(self):
        self.assertEqual(compare("20", p99_ttft=13)[0], 0)
        self.assertEqual(compare("5", p99_ttft=12)[0], 1)


if __name__ == "__main__":
    unittest.main()
