#pragma once
//  Every function of arch::, for the table of docs/fidelity.md. tests/simt/golden_test.cpp compares with the headers.

namespace probe {

struct primitive {
  char const* name;
  char const* ptx;     // the instructions, whose sections of the PTX ISA (9.0) define it
  char const* remark;  // where the host target is known to differ, or why nothing is asked of a GPU
};

inline constexpr primitive primitives[] = {
    {"sync_block", "barrier.sync", ""},
};

}  // namespace probe
