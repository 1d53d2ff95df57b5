#pragma once
//  Philox 4x32-10: a counter-based generator. The draw for (seed, position) is a pure function of both, so a request's
//  draws do not depend on its neighbours, its slot or the order of execution.
//  Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#include <tenon/config.hpp>

#include <cstdint>

namespace tenon {

struct philox_block {
  std::uint32_t word[4];
};

/// Ten rounds over `counter` with the key (key0, key1).
TENON_HD constexpr philox_block philox(philox_block counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    std::uint64_t const a = 0xD2511F53ull * counter.word[0];
    std::uint64_t const b = 0xCD9E8D57ull * counter.word[2];

    counter = {{static_cast<std::uint32_t>(b >> 32) ^ counter.word[1] ^ key0, static_cast<std::uint32_t>(b),
                static_cast<std::uint32_t>(a >> 32) ^ counter.word[3] ^ key1, static_cast<std::uint32_t>(a)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// 64 uniform bits for one draw.
TENON_HD constexpr std::uint64_t uniform_bits(std::uint64_t seed, std::uint64_t position) {
  philox_block const r =
      philox({{static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32), 0, 0}},
             static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
  return static_cast<std::uint64_t>(r.word[1]) << 32 | r.word[0];
}

}  // namespace tenon
