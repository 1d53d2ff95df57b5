"""What build/bench_attention or build/bench_attention_cuda --json left."""
from gemm_results import load_parts, ran


def load_folder(folder):
    return load_parts(folder, "attention", lambda r: (r["group"], r["cell"]))


def groups(results):
    """In the order in which they were measured."""
    return list(dict.fromkeys(r["group"] for r in results["records"]))


def beside(results, record):
    """The cell of the same group that a record is compared with, or None."""
    for r in ran(results):
        if r["group"] == record["group"] and r["cell"] == record.get("beside"):
            return r
    return None


def kv_rate(record):
    """Bytes of K and V per second; of calls that do not attend, all bytes."""
    return record["held_bytes"] / record["seconds"]


def of_cudnn(record):
    """How many times as quick as cuDNN, or None."""
    return record["cudnn_seconds"] / record["seconds"] if record.get("cudnn_seconds") and record.get("seconds") else None


def family(record):
    """What a group's name says besides its length: "decode B1 32/4" of "decode B1 32/4 4k"."""
    return record["group"].rsplit(" ", 1)[0]
