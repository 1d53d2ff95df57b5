#include "engine/program/bench_options.hpp"

#include "engine/program/command_line.hpp"
#include "engine/program/option_set.hpp"

namespace tenon::engine {

void add_bench(option_set& set, options& o) {
  bench_options& b    = o.bench;
  auto const     list = [&](char const* names, char const* help, std::vector<std::int64_t>& to, std::int64_t low,
                        std::int64_t high = 1 << 24) {
    std::string shown;
    for (std::int64_t const v : to) shown += (shown.empty() ? "" : ",") + std::to_string(v);
    set.value(
            names, "N,N...", help,
            [&to, low, high](std::string const& name, std::string const& given) {
          to = parse_integers(name, given, low, high);
        },
            shown);
  };
  list("--n-prompt,-p", "tokens of a prompt; 0 leaves the test out", b.prompts, 0);
  list("--n-gen,-n", "tokens that each sequence decodes; 0 leaves the test out", b.decodes, 0);
  list("--batch-size,-b", "sequences that decode together", b.batches, 1, 0xffff);
  list("--depth,-d", "tokens in the cache before a test begins", b.depths, 0);
  set.integer("--repetitions,-r", "of each test", b.repetitions, 1, 10000, std::to_string(b.repetitions));
  set.flag("--no-steps", "leave out the steps that a model of costs is fitted from", b.steps, false);
}

}  // namespace tenon::engine
