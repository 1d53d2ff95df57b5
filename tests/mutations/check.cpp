//  The scheduler and the block manager under random requests: exits with 1 and says what is wrong, or with 0.
//
//  The hash-model oracle, every audit and the bound of steps, over scenarios of all kinds, in about two seconds.
#include <cstdint>
#include <cstdio>
#include <exception>

#include "schedule_world.hpp"

int main() {
  for (std::uint64_t seed = 1; seed <= 2500; ++seed) {
    try {
      test::world_result const r = test::world(test::random_scenario(seed)).run();
      if (r.fault.empty()) continue;
      std::printf("%s\n", r.fault.c_str());
    } catch (std::exception const& e) {
      std::printf("seed %d: %s\n", static_cast<int>(seed), e.what());
    }
    return 1;
  }
  return 0;
}
