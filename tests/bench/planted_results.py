"""Results as build/bench_gemm_cuda --json leaves them, of a device that does not exist: every figure is made up."""


def record(layer, m, format_name, seconds, heuristic, best, floor=1e-6, weight_bytes=10_000_000):
    made = {"layer": layer, "n": 1000, "k": 5000, "m": m, "format": format_name, "unit": "bf16", "bytes": weight_bytes,
            "weight_bytes": weight_bytes, "operations": 2 * m * 1000 * 5000, "seconds": seconds,
            "rival": "cublaslt bf16", "heuristic_seconds": heuristic, "best_seconds": best, "algorithms": 8,
            "clock_mhz": 1000 + m, "power_w": 100, "plan": "a plan"}
    if seconds:
        made.update({"spread": 0.01, "rounds": 5, "floor_seconds": floor})
    else:
        made["error"] = "gemm: unsupported: plan"
    return made


def planted():
    return {
        "facts": {"device": "a planted device", "driver": "none", "date": "2026-01-02", "commit": "0000000", "command": "bench",
                  "target": "cuda", "complete": True, "copy_bytes_per_second": 4e12,
                  "operations_per_second": {"bf16": 8e14, "fp8": 1.4e15}},
        "goals": {"rows": [1, 16, 32, 64, 128, 512, 2048, 8192],
                  "ratios": [{"format": "w4", "against": "heuristic", "ratio": [3, 3, 2.6, 1.9, 1.25, 0.93, 0.93, 0.96]}],
                  "floor": [{"name": "under 12 MB", "from": 0, "to": 12_000_000, "least": 0},
                            {"name": "12 to 60 MB", "from": 12_000_000, "to": 60_000_000, "least": 0.75}]},
        "records": [
            record("one", 1, "bf16", 4e-6, 4e-6, 4e-6), record("two", 1, "bf16", 4e-6, 4e-6, 2e-6),
            record("one", 1, "w4", 1e-6, 4e-6, 4e-6), record("two", 1, "w4", 4e-6, 4e-6, 2e-6, weight_bytes=20_000_000),
            record("one", 64, "w4", 2e-6, 4e-6, None), record("two", 64, "w4", None, 4e-6, 4e-6),
        ],
    }
