"""Relative links of the documentation, and the files that headers and pages name, exist; docs/README.md links every page."""
import posixpath
import re
import urllib.parse

NAMED = re.compile(r"(?<![\w./-])((?:include|tests|bench|examples|docs|scripts|cmake)/[\w./-]*\.(?:hpp|cuh|cpp|cu|md|py|cmake))")


def anchors(text):
    found = set()
    for heading in re.findall(r"^#+\s+(.*)$", text, flags=re.M):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).strip().replace(" ", "-")
        found.add(slug)
    return found


def check(tree):
    for path in tree.files(".md"):
        fenced = re.sub(r"```.*?```", lambda m: re.sub(r"[^\n]", " ", m.group(0)), tree.text(path), flags=re.S)
        for number, line in enumerate(fenced.splitlines(), 1):
            for link in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", link):
                    continue
                target, _, anchor = urllib.parse.unquote(link).partition("#")
                full = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
                if not tree.exists(full):
                    yield path, number, f"the link {link} leads nowhere"
                elif anchor and full.endswith(".md") and anchor not in anchors(tree.text(full)):
                    yield path, number, f"{full} has no heading #{anchor}"
    index = tree.text("docs/README.md") if tree.exists("docs/README.md") else ""
    for path in tree.files(".md", under="docs"):
        if path != "docs/README.md" and f"({path[len('docs/'):]})" not in index:
            yield path, 1, "docs/README.md does not link this page"
    for path in tree.files(".md", ".hpp", ".cuh"):
        if path.endswith(".md") or path.startswith("include/"):
            for number, line in tree.lines(path):
                for name in NAMED.findall(line) if "<" not in line or not path.endswith(".md") else ():
                    if not tree.exists(name):
                        yield path, number, f"names {name}, which does not exist"


PLANTED = {
    "docs/broken.md": "[here](nowhere.md)\n",
    "docs/operators/lonely.md": "# lonely\n",
    "docs/anchor.md": "# One\n[two](#two)\n",
    "include/tenon/norm/stale.hpp": "/// Example examples/99_gone.cpp.\n",
}
INNOCENT = {
    "docs/README.md": "[a](whole.md) [b](other.md) [c](broken.md) [d](anchor.md)\n",
    "docs/whole.md": "# A b\n[a](other.md#c-d) [web](https://example.org) [up](#a-b)\n",
    "docs/other.md": "## C `d`\n",
}
