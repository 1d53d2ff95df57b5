#!/usr/bin/env python3
"""run.py ROOT LIST [--only NAME]: every bug of tests/mutations/LIST.py is put into a copy and must be caught.

LIST.py has:
  MUTATIONS  a list of (name, bug of a peer that it stands for, file, text, replacement). `file` is relative to ROOT and
             below one of FOLDERS; `text` occurs in it once, at line breaks and all.
  CHECK      the program that must fail, its main() in it; default tests/mutations/check.cpp
  SOURCES    what it is linked with; default the scheduler
  TESTS      tests of GoogleTest that it runs, too; default none
  INCLUDES   folders that CHECK includes from; default include, examples and tests/engine/schedule
  FOLDERS    what is copied and may be changed; default include and examples/engine/schedule

CHECK exits with 0 where all is well and with 1 where it found something wrong. Unchanged it must pass. With a mutation it must
exit with 1; a crash, or no end within 30 seconds, counts as caught too, but is marked: a better check would have seen it first.
A mutation that does not compile is a failure of the list. With GTEST_OUTPUT=json:FILE a report of the form that GoogleTest
writes goes there. The compiler is $CXX or g++; $TENON_JOBS compilations run side by side.
"""
import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

SECONDS = 30
SCHEDULER = [f"examples/engine/schedule/{name}.cpp" for name in
             ("scheduler", "scheduler_step", "scheduler_admission", "scheduler_audit", "cost_model")]
COMPILER = [os.environ.get("CXX", "g++"), "-std=c++20", "-O1", "-D_GLIBCXX_ASSERTIONS"]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Program:
    """CHECK and SOURCES, compiled where they changed."""

    def __init__(self, root, module):
        self.root = root
        self.check = getattr(module, "CHECK", "tests/mutations/check.cpp")
        tests = getattr(module, "TESTS", [])
        self.sources = getattr(module, "SOURCES", SCHEDULER) + [self.check] + tests
        self.libraries = ["-lgtest"] if tests else []
        self.includes = getattr(module, "INCLUDES", ["include", "examples", "tests/engine/schedule"])
        self.folders = getattr(module, "FOLDERS", ["include", "examples/engine/schedule"])
        self.objects = {}

    def compile(self, copy, source, target):
        """None, or what the compiler said."""
        at = copy if any(source.startswith(folder + "/") for folder in self.folders) else self.root
        flags = [f"-I{tree}/{folder}" for folder in self.includes for tree in (copy, self.root)]
        run = subprocess.run(COMPILER + flags + ["-c", f"{at}/{source}", "-o", str(target)], capture_output=True, text=True)
        return run.stderr if run.returncode else None

    def copy_tree(self, target):
        for folder in self.folders:
            shutil.copytree(f"{self.root}/{folder}", f"{target}/{folder}")

    def build_all(self, where, pool):
        self.copy_tree(where)
        targets = {source: where / (source.replace("/", "_") + ".o") for source in self.sources}
        errors = list(pool.map(lambda pair: self.compile(where, *pair), targets.items()))
        self.objects = targets
        return next((e for e in errors if e), None)

    def build(self, where, changed):
        """The program with `changed` (a file in `where`) compiled anew; (path, None) or (None, error)."""
        objects = dict(self.objects)
        for source in self.sources if not changed.endswith(".cpp") else [changed]:
            objects[source] = where / (source.replace("/", "_") + ".o")
            error = self.compile(where, source, objects[source])
            if error:
                return None, error
        return self.link(where, objects)

    def link(self, where, objects):
        run = subprocess.run(COMPILER + [str(o) for o in objects.values()] + self.libraries + ["-o", f"{where}/check"],
                             capture_output=True, text=True)
        return (f"{where}/check", None) if run.returncode == 0 else (None, run.stderr)


def judge(check):
    """(verdict, last line of output): passed, caught, crashed or hung."""
    try:
        own = {name: value for name, value in os.environ.items() if not name.startswith("GTEST_")}
        run = subprocess.run([check], capture_output=True, text=True, timeout=SECONDS, env=own)
    except subprocess.TimeoutExpired:
        return "hung", ""
    said = (run.stdout.strip().splitlines() or [""])[-1]
    return {0: "passed", 1: "caught"}.get(run.returncode, "crashed"), said


def attempt(program, mutation):
    """(ok, verdict, words) of one mutation."""
    _, _, file, text, replacement = mutation
    with tempfile.TemporaryDirectory() as scratch:
        where = pathlib.Path(scratch)
        program.copy_tree(where)
        target = where / file
        if not target.exists():
            return False, "no such file", file
        source = target.read_text()
        if source.count(text) != 1:
            return False, "broken list", f"its text occurs {source.count(text)} times in {file}"
        target.write_text(source.replace(text, replacement))
        check, error = program.build(where, file)
        if error:
            return False, "does not compile", "\n".join(error.splitlines()[:4])
        verdict, said = judge(check)
        return verdict != "passed", verdict, said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("list")
    parser.add_argument("--only", help="names that contain this")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    module = load(pathlib.Path(__file__).parent / f"{arguments.list}.py")
    program = Program(root, module)
    mutations = [m for m in module.MUTATIONS if not arguments.only or arguments.only in m[0]]
    cases = []

    def note(name, ok, seconds, words):
        failure = [] if ok else [{"failure": words, "type": ""}]
        cases.append({"name": name, "status": "RUN", "result": "COMPLETED", "time": f"{seconds:.3f}s",
                      "classname": arguments.list} | ({"failures": failure} if failure else {}))

    with tempfile.TemporaryDirectory() as scratch, \
            concurrent.futures.ThreadPoolExecutor(int(os.environ.get("TENON_JOBS", os.cpu_count() or 1))) as pool:
        where, start = pathlib.Path(scratch), time.time()
        error = program.build_all(where, pool)
        check, error = (None, error) if error else program.link(where, program.objects)
        verdict, said = ("does not compile", error) if error else judge(check)
        note("unchanged", verdict == "passed", time.time() - start, f"{verdict}: {said}")
        print(f"{'unchanged':<44} {verdict:<8} {said}", flush=True)
        if verdict == "passed":
            def timed(mutation):
                begin = time.time()
                return mutation, attempt(program, mutation), time.time() - begin
            for mutation, (ok, verdict, said), seconds in pool.map(timed, mutations):
                note(mutation[0], ok, seconds, f"{verdict}: {said}")
                mark = "" if verdict == "caught" else "  <--"
                print(f"{mutation[0]:<44} {verdict:<8} {said}{mark}", flush=True)

    failed = sum("failures" in case for case in cases)
    print(f"{len(mutations)} mutations of {arguments.list}: {failed} not caught")
    output = os.environ.get("GTEST_OUTPUT", "")
    if output.startswith("json:"):
        report = {"tests": len(cases), "failures": failed, "name": "AllTests",
                  "testsuites": [{"name": arguments.list, "tests": len(cases), "failures": failed, "testsuite": cases}]}
        pathlib.Path(output[5:]).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(output[5:]).write_text(json.dumps(report, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
