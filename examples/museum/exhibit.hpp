#pragma once
//  What every exhibit of the museum consists of: a kernel as it was and as it was mended, the finding that the checker
//  must come to, and where the story happened.
#include "marks.hpp"

#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>

namespace museum {

using tenon::simt::buffer;
using tenon::simt::check;
using tenon::simt::check_options;
using tenon::simt::kind;
using tenon::simt::report;
namespace arch = tenon::arch;

struct exhibit {
  char const*             title;
  char const*             seen;         // project and number
  char const*             file;         // __FILE__
  marks::expected_finding expected[4];  // one of them under every schedule; which one, the order decides
  report (*run)(check_options const& options, bool mended);
  bool          copies   = false;        // runs under every delivery policy too
  check_options recorded = {.seed = 1};  // the run whose report is kept
};

}  // namespace museum
