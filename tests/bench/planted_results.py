"""Results as build/bench_gemm_cuda and build/bench_attention_cuda --json leave them, of a device that does not exist: every
figure is made up."""


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


def call(group, cell, seconds, kv_bytes=400_000_000, cache="bf16", cudnn=None, longest=4096, beside=None, goals=(), operations=10**9):
    made = {"group": group, "cell": cell, "cache": cache, "requests": 32, "tokens": 32, "longest": longest, "heads": 32, "kv_heads": 8,
            "head_dim": 128, "page": 16, "causal": True, "compute": group.startswith("prefill"), "bytes": kv_bytes, "kv_bytes": kv_bytes, "held_bytes": kv_bytes,
            "operations": operations, "seconds": seconds, "clock_mhz": 1000, "power_w": 100}
    if seconds:
        made.update({"spread": 0.01, "rounds": 5, "floor_seconds": 1e-4})
    else:
        made["error"] = "paged_attention: unsupported: head_dim"
    if cudnn:
        made["cudnn_seconds"] = cudnn
    if beside:
        made["beside"] = beside
    if goals:
        made["goals"] = list(goals)
    return made


def planted_attention():
    def goal(what, most, must, best, figure, verdict):
        return {"what": what, "most": most, "must": must, "best": best, "figure": figure, "verdict": verdict}

    return {
        "facts": {"device": "a planted device", "driver": "none", "date": "2026-01-02", "commit": "0000000", "command": "bench",
                  "target": "cuda", "complete": True, "cudnn": "cuDNN 9.0.0", "copy_bytes_per_second": 4e12,
                  "read_bytes_per_second": 4.5e12, "operations_per_second": {"bf16": 8e14, "f16": 8e14}},
        "records": [
            call("decode B32 4k", "bf16", 2e-4, goals=[goal("% of copy", False, 88, 95, 50, "missed")], cudnn=4e-4),
            call("decode B32 4k", "fp8", 1e-4, kv_bytes=200_000_000, cache="fp8", beside="bf16",
                 goals=[goal("times as quick", False, 1.75, 1.9, 2, "best")]),
            call("decode B32 4k", "int4", None, kv_bytes=100_000_000, cache="int4", beside="bf16",
                 goals=[goal("times as quick", False, 2.4, 3.2, None, "-")]),
            call("prefill causal 4k", "bf16", 1e-3, cudnn=2e-3, operations=4 * 10**11,
                 goals=[goal("TFLOP/s", False, 380, None, 400, "met")]),
            call("prefill causal 8k", "bf16", 1e-3, cudnn=5e-4, longest=8192, operations=4 * 10**11),
        ],
    }
