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

/// There is a finding of this kind between these two lines, in either order, or one that names it as seen beside it; 0
/// stands for any line or none.
inline testing::AssertionResult reports(report const& r, kind what, unsigned line = 0, unsigned other_line = 0) {
  auto const fits = [&](finding const& f) {
    auto const between = [&](unsigned a, unsigned b) {
      return (line == 0 || line == a) && (other_line == 0 || other_line == b);
    };
    return f.what == what && (between(f.here.line, f.there.line) || between(f.there.line, f.here.line));
  };
  for (auto const& f : r.findings) {
    if (fits(f)) return testing::AssertionSuccess();
    for (auto const& a : f.also)
      if (fits(a)) return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "no " << to_string(what) << " between lines " << line << " and " << other_line
                                     << "; " << r;
}

}  // namespace tenon::simt
