#pragma once
//  Reports in GoogleTest's words.
//
//    EXPECT_TRUE(tenon::simt::is_clean(found));
//    EXPECT_TRUE(tenon::simt::reports(found, tenon::simt::kind::read_after_write, 41, 38));
#include <tenon/simt/report.hpp>

#include <gtest/gtest.h>

namespace tenon::simt {

inline testing::AssertionResult is_clean(report const& r) {
  return r.clean() ? testing::AssertionSuccess() : testing::AssertionFailure() << r;
}

/// There is a finding of this kind between these two lines, in either order; 0 stands for any line or none.
inline testing::AssertionResult reports(report const& r, kind what, unsigned line = 0, unsigned other_line = 0) {
  for (auto const& f : r.findings) {
    if (f.what != what) continue;
    auto const fits = [&](unsigned a, unsigned b) {
      return (line == 0 || line == a) && (other_line == 0 || other_line == b);
    };
    if (fits(f.here.line, f.there.line) || fits(f.there.line, f.here.line)) return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "no " << to_string(what) << " between lines " << line << " and " << other_line
                                     << "; " << r;
}

}  // namespace tenon::simt
