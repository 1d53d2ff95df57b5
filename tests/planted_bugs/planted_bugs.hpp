#pragma once
//  A case: one kind of bug planted in one kernel, beside its correct twin, and what the checker must say of it.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>

#include <span>
#include <string>

namespace planted_bugs {

using namespace tenon;
using simt::buffer, simt::check, simt::check_options, simt::dynamic_shared, simt::kind, simt::report;

/// A line of a source file: the one that ends with `// [text]`, or, of a header of tenon, the first that contains text.
struct place {
  char const* text   = nullptr;  // nullptr: any line, or none
  char const* header = nullptr;  // "tile/reduce.cuh"

  constexpr place() = default;
  constexpr place(char const* text_, char const* header_ = nullptr) : text(text_), header(header_) {}
};

/// A finding of this kind between these two lines, in either order.
struct expected_finding {
  simt::kind kind;
  place      here, there = {};
};

/// How the kernel is written: with CUDA's own words only (arch:: where CUDA has nothing but PTX), or as tenon's kernels are.
enum class style { cuda, tenon };

/// When copies arrive matters to this one: it runs under every delivery policy too.
enum class copies { none, asynchronous };

struct planted_case {
  int                 number;  // of the catalogue
  char const*         kernel;
  planted_bugs::style style;
  char const*         bug;
  expected_finding    expected[4];  // one of them must be among the findings of every run: which one the order decides
  report (*run)(check_options const& o, bool bug);
  planted_bugs::copies copies = planted_bugs::copies::none;
};

/// The cases of one source file.
struct chapter {
  char const*                   file;
  std::span<planted_case const> cases;
};

extern chapter const shared_races, warps, bounds, asynchronous_copies, memory_barriers, bulk_copies, named_barriers,
    global_memory;

}  // namespace planted_bugs
