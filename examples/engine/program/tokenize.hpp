#pragma once
//  `tenon tokenize` and `tenon detokenize`.
#include <iosfwd>

#include "engine/program/command_line.hpp"

namespace tenon::engine {

/// Each reads its input (--file, --text or `in`) and writes the result to `out`; returns the exit status.
int run_tokenize(options const& from, std::istream& in, std::ostream& out);
int run_detokenize(options const& from, std::istream& in, std::ostream& out);

}  // namespace tenon::engine
