#pragma once
//  What a world is made of: limits, requests and a pool, by hand or by chance.
#include <cstdint>
#include <random>

#include "engine/schedule/scheduler.hpp"

namespace test {

using namespace tenon::engine;  // NOLINT

struct scenario {
  schedule_options schedule;
  cost_model       cost{
            .step = 1e-3, .weights = 2e-3, .token = 1e-5, .sequence = 1e-5, .row = 1e-5, .key = 1e-7, .pair = 1e-8};
  std::uint64_t seed           = 1;
  int           requests       = 24;
  int           vocabulary     = 50;
  int           stop_every     = 40;  // one id in so many ends its completion; 0: none
  int           block_size     = 4;
  int           spare_blocks   = 8;  // pages beyond what the longest request needs alone
  bool          prefix_cache   = true;
  int           longest_prompt = 30, most_tokens = 20, most_n = 1, classes = 1, tenants = 1, salts = 1;
  double        shared = 0.5, cancelled = 0, with_deadline = 0;  // parts of the requests
  double        rate = 300;                                      // arrivals per second; a step takes about 5 ms
};

/// Options of all kinds, pools down to the least that fits.
inline scenario random_scenario(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto const      upto = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
  scenario        o;
  o.seed                        = seed;
  o.block_size                  = 1 + upto(5);
  o.spare_blocks                = upto(3) == 0 ? 0 : upto(30);
  o.prefix_cache                = upto(3) != 0;
  o.requests                    = 4 + upto(20);
  o.most_n                      = upto(2) == 0 ? 1 : 1 + upto(4);
  o.classes                     = 1 + upto(3);
  o.tenants                     = 1 + upto(4);
  o.salts                       = 1 + upto(2);
  o.shared                      = upto(3) / 2.;
  o.cancelled                   = upto(3) == 0 ? 0.3 : 0;
  o.with_deadline               = upto(4) == 0 ? 0.3 : 0;
  o.rate                        = upto(2) == 0 ? 100 : 2000;
  o.schedule.max_sequences      = 1 + upto(10);
  o.schedule.max_batched_tokens = o.schedule.max_sequences + upto(40);
  o.schedule.mode            = upto(3) != 0 ? batching::continuous : upto(2) == 0 ? batching::dynamic : batching::fixed;
  o.schedule.chunked_prefill = upto(4) != 0;
  o.schedule.decode_first    = upto(4) != 0;
  o.schedule.itl_target      = upto(2) == 0 ? 0 : 3.2e-3;
  o.schedule.min_chunk       = 1 + upto(8);
  o.schedule.order           = upto(2) == 0 ? prompt_order::shortest : prompt_order::arrival;
  o.schedule.ageing          = upto(3) * 100;
  o.schedule.fairness        = upto(3) / 2.;
  o.schedule.max_partial     = 1 + upto(6);
  o.schedule.max_long_partial = 1 + upto(2);
  o.schedule.long_prompt      = 5 + upto(30);
  o.schedule.growth_steps     = upto(3) * 8;
  o.schedule.max_preemptions  = upto(4);
  if (upto(8) == 0)
    o.spare_blocks = 0, o.most_tokens = 1, o.shared = 1, o.prefix_cache = true;  // prompts fill the pool
  return o;
}

}  // namespace test
