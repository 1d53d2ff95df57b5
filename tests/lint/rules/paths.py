"""No path of one machine and no host of one network in the project."""
import re

MACHINE = re.compile(r"(?:^|[^\w./${}~<>-])/(?:home|root|work|farm|Users|mnt|tmp)/\w")
HOST = re.compile(r"://[a-z0-9.-]*(?:debian|pypi|npmjs|crates|registry|mirror|proxy)[a-z0-9.-]*", re.I)
TEXT = (".hpp", ".cuh", ".cpp", ".cu", ".md", ".py", ".cmake", ".in", ".json", ".yml", ".txt", ".sh", "")


def check(tree):
    for path in tree.files(*TEXT):
        if path.startswith("tests/lint/rules/paths.py") or path.endswith("tokenizer.json"):
            continue
        for number, line in tree.lines(path):
            if MACHINE.search(line):
                yield path, number, f"a path of one machine: {line.strip()[:100]}"
            if HOST.search(line):
                yield path, number, f"a host of a registry: {line.strip()[:100]}"


PLANTED = {
    "scripts/start": "cd /home/someone/tenon\n",
    "docs/install.md": "apt from http://deb" + ".debian.org/debian\n",
}
INNOCENT = {"scripts/demo": "PATH=$PATH:/usr/local/cuda/bin $HOME/work/x build/work/x https://github.com/tenon\n"}
