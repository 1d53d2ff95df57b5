//  The scheduler and the block manager: exits with 1 and says what is wrong, or with 0.
//
//  The hash-model oracle, every audit and the bound of steps, over scenarios of all kinds, in about two seconds; then the tests
//  of single rules that it is linked with.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

#include "schedule_world.hpp"

namespace {

/// Remembers what fails first and prints nothing.
struct first_failure : testing::EmptyTestEventListener {
  std::string name;
  void        OnTestEnd(testing::TestInfo const& test) override {
    if (name.empty() && test.result()->Failed()) name = std::string(test.test_suite_name()) + "." + test.name();
  }
};

/// What is wrong with the first scenario of many that fails; empty: all is well.
std::string fault_of_scenarios() {
  for (std::uint64_t seed = 1; seed <= 2500; ++seed) {
    try {
      test::world_result const r = test::world(test::random_scenario(seed)).run();
      if (!r.fault.empty()) return r.fault;
    } catch (std::exception const& e) {
      return "seed " + std::to_string(seed) + ": " + e.what();
    }
  }
  return {};
}

/// The first test that fails.
std::string fault_of_rules() {
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  auto* const rules = new first_failure;
  listeners.Append(rules);  // which owns it
  return RUN_ALL_TESTS() == 0 ? "" : rules->name;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string fault = fault_of_scenarios();
  if (fault.empty()) fault = fault_of_rules();
  std::printf("%s\n", fault.c_str());
  return fault.empty() ? 0 : 1;
}
