#pragma once
//  What tests ask of a status.
#include <tenon/core/status.hpp>

#include <gtest/gtest.h>

namespace test {

inline void expect_ok(tenon::status const& s) {
  EXPECT_TRUE(s.ok()) << s.primitive << ": " << to_string(s.code) << ", " << s.subject << ", " << s.got << " for "
                      << s.want;
}

}  // namespace test
