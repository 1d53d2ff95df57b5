#pragma once
//  A place in the kernel's source: what a report names.
#include <source_location>

namespace tenon::simt {

struct site {
  char const* file   = "";
  unsigned    line   = 0;
  unsigned    column = 0;

  /// The place of the call that this stands in as a default argument.
#if defined(__clang__)
  static constexpr site here(char const* file = __builtin_FILE(), unsigned line = __builtin_LINE(),
                             unsigned column = __builtin_COLUMN()) {
    return {file, line, column};
  }
#else
  static constexpr site here(std::source_location at = std::source_location::current()) {
    return {at.file_name(), at.line(), at.column()};
  }
#endif
  friend constexpr bool operator==(site const&, site const&) = default;
};

}  // namespace tenon::simt
