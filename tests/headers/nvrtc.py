#!/usr/bin/env python3
"""nvrtc.py ROOT LIBNVRTC: one translation unit with every device header compiles under NVRTC, without a GPU."""
import ctypes
import pathlib
import sys

DEVICE = ("core/", "op/", "arch/arch.cuh", "arch/cuda/", "tile/")
HOST_HALVES = ("core/throw_if.hpp",)


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
    source = "".join(f"#include <{h}>\n" for h in device)

    # NVRTC has no standard headers; nvrtc/ stands for the ones that a user brings.
    options = ["-std=c++20", "-arch=sm_80", "-default-device", f"-I{include}", f"-I{pathlib.Path(__file__).parent}/nvrtc"]
    for candidate in ("/usr/local/cuda/include/cccl", "/usr/local/cuda/include"):
        if pathlib.Path(candidate).exists():
            options.append(f"-I{candidate}")
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"tenon.cu", 0, None, None)
    arguments = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    code = nvrtc.nvrtcCompileProgram(program, len(options), arguments)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    print("\n".join(log.value.decode().splitlines()[:60]))
    print(f"{len(device)} device headers under NVRTC: {'compiled' if code == 0 else f'error {code}'}")
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
