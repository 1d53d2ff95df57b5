#!/usr/bin/env python3
"""nvrtc.py ROOT LIBNVRTC: one translation unit with every device header compiles under NVRTC, without a GPU."""
import ctypes
import pathlib
import sys

DEVICE = ("core/", "op/", "arch/arch.cuh", "arch/cuda/", "tile/")
HOST_HALVES = ("core/throw_if.hpp",)


def compiles(nvrtc, source, options):
    """(whether it does, what the compiler said)"""
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"tenon.cu", 0, None, None)
    arguments = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    code = nvrtc.nvrtcCompileProgram(program, len(options), arguments)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return code == 0, log.value.decode()


def main():
    root, library = sys.argv[1:3]
    try:
        nvrtc = ctypes.CDLL(library)
    except OSError as error:
        print(f"skipped: {error}")
        return 77
    include = pathlib.Path(root, "include")
    headers = [p.relative_to(include).as_posix() for p in sorted(include.rglob("*")) if p.suffix in (".hpp", ".cuh")]
    device = [h for h in headers if h[len("tenon/"):].startswith(DEVICE) or h.endswith(("_kernel.cuh", "_policy.hpp"))]
    device = [h for h in device if not h.endswith(HOST_HALVES)]

    # NVRTC has no standard headers; nvrtc/ stands for the ones that a user brings.
    options = ["-std=c++20", "-arch=sm_80", "-default-device", f"-I{include}", f"-I{pathlib.Path(__file__).parent}/nvrtc"]
    for candidate in (pathlib.Path(library).resolve().parents[1] / "include", pathlib.Path("/usr/local/cuda/include")):
        options += [f"-I{folder}" for folder in (candidate / "cccl", candidate) if folder.exists()]
    planted, _ = compiles(nvrtc, "#include <vector>\n", options)
    if planted:
        print("this test is broken: a planted <vector> compiled")
    good, log = compiles(nvrtc, "".join(f"#include <{h}>\n" for h in device), options)
    print("\n".join(log.splitlines()[:60]))
    print(f"{len(device)} device headers under NVRTC: {'compiled' if good else 'failed'}")
    return 0 if good and not planted else 1


if __name__ == "__main__":
    sys.exit(main())
