#pragma once
//  The options of `bench`.
#include <cstdint>
#include <vector>

namespace tenon::engine {

class option_set;
struct options;

struct bench_options {
  std::vector<std::int64_t> prompts     = {512};                 // tokens of a prompt that is fed
  std::vector<std::int64_t> decodes     = {128};                 // tokens that each sequence draws
  std::vector<std::int64_t> batches     = {1, 2, 4, 8, 16, 32};  // sequences that decode together
  std::vector<std::int64_t> depths      = {0};                   // tokens in the cache before a test begins
  std::int64_t              repetitions = 5;
  bool                      steps       = true;  // measure the grid that a model of costs is fitted from (JSON only)
};

void add_bench(option_set& set, options& o);

}  // namespace tenon::engine
