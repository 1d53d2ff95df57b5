#!/usr/bin/env python3
"""environments.py FOLDER: makes the environments of the other tokenizers there, as requirements*.txt pin them.

Exits with 77, and one line that says why, where this machine cannot (no venv module, no packages to be had).
"""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
REQUIREMENTS = {"stable": HERE / "requirements.txt", "candidate": HERE / "requirements_candidate.txt"}


class Unavailable(Exception):
    pass


def python_of(folder, environment):
    return pathlib.Path(folder) / environment / "bin" / "python"


def is_there(folder, environment):
    """Whether the environment was made from the requirements as they are now."""
    stamp = pathlib.Path(folder) / environment / "made_from.txt"
    return stamp.exists() and stamp.read_bytes() == REQUIREMENTS[environment].read_bytes()


def run(what, *command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise Unavailable(f"{what}: {words[-1][:300]}")


def make(folder):
    for environment, requirements in REQUIREMENTS.items():
        if is_there(folder, environment):
            continue
        place = pathlib.Path(folder) / environment
        run("no virtual environment", sys.executable, "-m", "venv", "--clear", str(place))
        run("no packages", str(python_of(folder, environment)), "-m", "pip", "install", "--quiet", "-r", str(requirements))
        (place / "made_from.txt").write_bytes(requirements.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        make(sys.argv[1])
    except Unavailable as why:
        print(f"skipped: the other tokenizers cannot be installed here ({why})")
        sys.exit(SKIPPED)
