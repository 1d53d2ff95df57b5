#!/usr/bin/env python3
"""count_tests.py [--broken N] RESULTS: one line, `N passed, N failed, N skipped`, over what scripts/test left there.

RESULTS holds <run>.xml (CTest's JUnit report) and <run>/<test>.json (GoogleTest's report of one CTest test). A CTest test
with a report counts as its cases; one without (or that died before it wrote one) counts as one.
"""
import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree as xml


def cases(report):
    """(passed, failed, skipped) of one GoogleTest report."""
    passed = failed = skipped = 0
    for suite in report["testsuites"]:
        for case in suite["testsuite"]:
            if case.get("result") == "SKIPPED":
                skipped += 1
            elif case.get("status") != "RUN":
                continue
            elif case.get("failures"):
                failed += 1
            else:
                passed += 1
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broken", type=int, default=0)
    parser.add_argument("results", type=pathlib.Path)
    arguments = parser.parse_args()
    total = [0, arguments.broken, 0]
    for run in sorted(arguments.results.glob("*.xml")):
        for test in xml.parse(run).getroot().iter("testcase"):
            name, status = test.get("name"), test.get("status")
            report = run.with_suffix("") / f"{name}.json"
            try:
                counts = cases(json.loads(report.read_text()))
            except (OSError, ValueError):
                counts = (status == "run", status == "fail", status not in ("run", "fail"))
            if status == "fail" and counts[1] == 0:
                counts = (counts[0], 1, counts[2])  # every case passed and the program failed all the same
            if counts[1]:
                print(f"failed: {run.stem} {name}")
            total = [a + b for a, b in zip(total, counts)]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
