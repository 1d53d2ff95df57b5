"""What build/bench_gemm_cuda --json left: geometric means by format and M."""
import json
import math
import pathlib


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def load_parts(folder, stem, key):
    """STEM.json of scripts/gpu, and what STEM.2.json, ... measured after a fault ended it. key(record) names what it is of."""
    paths = sorted(pathlib.Path(folder).glob(f"{stem}.*.json"))
    results = load(pathlib.Path(folder) / f"{stem}.json")
    for path in paths:
        more = load(path)
        known = {key(r) for r in ran(results)}
        added = [r for r in more["records"] if key(r) not in known]
        again = {key(r) for r in added}
        results["records"] = [r for r in results["records"] if key(r) not in again] + added
    return results


def load_folder(folder):
    return load_parts(folder, "gemm", lambda r: (r["layer"], r["m"], r["format"]))


def geometric_mean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def ran(results):
    return [r for r in results["records"] if r.get("seconds")]


def formats(results):
    """In the order in which they were measured."""
    return list(dict.fromkeys(r["format"] for r in results["records"]))


def rows(results):
    return sorted({r["m"] for r in results["records"]})


def ratios(results, format_name, m, against):
    """[(how many times as quick as cuBLASLt, layer)]; against: "heuristic" or "best"."""
    found = []
    for r in ran(results):
        if r["format"] == format_name and r["m"] == m and r.get(f"{against}_seconds"):
            found.append((r[f"{against}_seconds"] / r["seconds"], r["layer"]))
    return found


def of_floor(results, format_name, m):
    """[part of the floor that is reached]"""
    return [r["floor_seconds"] / r["seconds"] for r in ran(results)
            if r["format"] == format_name and r["m"] == m and r.get("floor_seconds")]


def goal(results, format_name, m, against):
    """The ratio that is asked for, or None."""
    for g in results["goals"]["ratios"]:
        if g["format"] == format_name and g["against"] == against:
            starts = results["goals"]["rows"]
            return g["ratio"][max(i for i, start in enumerate(starts) if m >= start)]
    return None
