//  Memory that holds no token: contiguous reservation against paging, on traces of real services.
//
//  A replay under pressure: 524,288 slots of one token each (what 64 GiB hold at 128 KiB per token, an 8B model in bf16). Requests
//  come in the order of the trace, as soon as there is room (arrival times are ignored, so someone always waits); a prompt is
//  there at once, and each step adds a token to every request that runs. Means over the steps:
//
//    empty    percent of the slots that are reserved and hold no token
//    holes    percent of all slots that are reserved by nobody though someone waits
//    waste    percent of all slots that hold no token
//    at_once  requests that run together
//    preempted  requests that had to give their blocks back, per 100 (paging alone grows into memory that may be gone)
//
//  Contiguous reservation, first fit, as in figure 2 of Kwon et al., Efficient memory management for large language model
//  serving with PagedAttention, SOSP 2023: `longest`: the power of two above the longest request of the trace, for each;
//  `power_of_two`: the prompt, and the output's length rounded up to a power of two; `exact`: prompt and output, as if known.
//  Paging by kv_blocks, blocks of 8 to 128 tokens, prefix cache off; a request enters when its prompt and 1 % of the pool are
//  available; when blocks run out the one that came last leaves and comes back with all its tokens.
#include <tenon/core/integer.hpp>
#include <tenon/kv/kv_blocks.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "../../tests/support/shared_data.hpp"
#include "engine/schedule/traces.hpp"

namespace {

constexpr std::int64_t slots = 524'288;

struct request {
  std::int64_t prompt = 0, output = 0, made = 0;  // tokens; `made`: of the output

  std::int64_t tokens() const { return prompt + made; }
  std::int64_t all() const { return prompt + output; }
};

std::vector<request> read(std::string const& name) {
  std::filesystem::path const file = test::shared_data() / "traces" / name;
  std::vector<request>        out;
  if (!exists(file)) return out;
  for (tenon::engine::arriving_request const& r : tenon::engine::read_trace(file.string()).requests)
    if (request const x{r.prompt_tokens, std::max(r.output_tokens, 1)}; x.all() <= slots) out.push_back(x);
  return out;
}

class means {
 public:
  void step(std::int64_t tokens, std::int64_t reserved, std::size_t running) {
    ++steps_;
    empty_ += 1 - static_cast<double>(tokens) / static_cast<double>(std::max<std::int64_t>(reserved, 1));
    holes_ += 1 - static_cast<double>(reserved) / static_cast<double>(slots);
    waste_ += 1 - static_cast<double>(tokens) / static_cast<double>(slots);
    running_ += static_cast<double>(running);
  }
  void report(benchmark::State& state) const {
    double const n            = std::max(steps_, 1.);
    state.counters["empty"]   = 100 * empty_ / n;
    state.counters["holes"]   = 100 * holes_ / n;
    state.counters["waste"]   = 100 * waste_ / n;
    state.counters["at_once"] = running_ / n;
  }

 private:
  double steps_ = 0, empty_ = 0, holes_ = 0, waste_ = 0, running_ = 0;
};

/// Free runs of slots by address; the first that is long enough is taken.
class first_fit {
 public:
  first_fit() : runs_{{0, slots}} {}

  std::int64_t take(std::int64_t length) {
    for (auto run = runs_.begin(); run != runs_.end(); ++run) {
      auto const [at, have] = *run;
      if (have < length) continue;
      runs_.erase(run);
      if (have > length) runs_[at + length] = have - length;
      return at;
    }
    return -1;
  }
  void give_back(std::int64_t at, std::int64_t length) {
    auto after = runs_.lower_bound(at);
    if (after != runs_.end() && after->first == at + length) length += after->second, after = runs_.erase(after);
    if (after != runs_.begin()) {
      auto const before = std::prev(after);
      if (before->first + before->second == at) {
        before->second += length;
        return;
      }
    }
    runs_[at] = length;
  }

 private:
  std::map<std::int64_t, std::int64_t> runs_;
};

template <class Length>
void contiguous(benchmark::State& state, std::string const& name, Length const& reserved_for) {
  std::vector<request> const trace = read(name);
  if (trace.empty()) return state.SkipWithError(test::no_shared_data);
  std::int64_t longest = 0;
  for (request const& r : trace) longest = std::max(longest, r.all());
  for (auto _ : state) {
    struct place {
      request      r;
      std::int64_t at, length;
    };
    first_fit          memory;
    std::vector<place> running;
    means              mean;
    std::int64_t       tokens = 0, reserved = 0;
    std::size_t        next = 0;
    for (;;) {
      for (; next < trace.size(); ++next) {
        std::int64_t const length = reserved_for(trace[next], longest), at = memory.take(length);
        if (at < 0) break;
        running.push_back({trace[next], at, length});
        tokens += trace[next].prompt, reserved += length;
      }
      if (next == trace.size()) break;
      mean.step(tokens, reserved, running.size());
      tokens += static_cast<std::int64_t>(running.size());
      std::erase_if(running, [&](place& p) {
        if (++p.r.made < p.r.output) return false;
        memory.give_back(p.at, p.length);
        tokens -= p.r.tokens(), reserved -= p.length;
        return true;
      });
    }
    mean.report(state);
  }
}

void paged(benchmark::State& state, std::string const& name, int block_size) {
  std::vector<request> const trace = read(name);
  if (trace.empty()) return state.SkipWithError(test::no_shared_data);
  std::int64_t longest = 0;
  for (request const& r : trace) longest = std::max(longest, r.all());
  std::vector<std::int32_t> const text(static_cast<std::size_t>(longest));  // of every request: nothing is shared here
  for (auto _ : state) {
    auto const         blocks = static_cast<tenon::block_id>(slots / block_size), watermark = blocks / 100;
    int const          rows = 8192;
    tenon::kv_blocks<> kv({.blocks                  = blocks,
                           .block_size              = block_size,
                           .max_sequences           = rows,
                           .max_blocks_per_sequence = static_cast<int>(longest / block_size) + 1,
                           .prefix_cache            = false});
    struct owner {
      request            r;
      tenon::sequence_id s;
    };
    std::deque<request> waiting(trace.begin(), trace.end());
    std::vector<owner>  running;
    means               mean;
    std::int64_t        preempted = 0;
    auto const          commit    = [&](owner const& o) {
      static_cast<void>(kv.commit(o.s, std::span(text).first(static_cast<std::size_t>(o.r.tokens()))));
    };
    for (;;) {
      while (!waiting.empty()) {
        request const&     r    = waiting.front();
        std::int64_t const need = tenon::ceil_div<std::int64_t>(r.tokens() + 1, block_size);
        if (need + (running.empty() ? 0 : watermark) > kv.available()) break;
        owner const o{r, kv.open()};
        if (o.s == tenon::no_sequence) break;
        static_cast<void>(kv.reserve(o.s, r.tokens()));
        commit(o);
        running.push_back(o);
        waiting.pop_front();
      }
      if (waiting.empty()) break;
      tenon::kv_metrics const m = kv.metrics();
      mean.step(m.tokens, m.slots, running.size());
      for (std::size_t i = 0; i < running.size(); ++i) {
        ++running[i].r.made;
        while (i < running.size() && !kv.reserve(running[i].s, running[i].r.tokens()).ok()) {
          owner& last = running.back();
          if (i + 1 == running.size()) --last.r.made;
          kv.close(last.s);
          waiting.push_front(last.r);
          running.pop_back();
          ++preempted;
        }
        if (i < running.size()) commit(running[i]);
      }
      std::erase_if(running, [&](owner const& o) {
        if (o.r.made < o.r.output) return false;
        kv.close(o.s);
        return true;
      });
    }
    mean.report(state);
    state.counters["preempted"] = 100 * static_cast<double>(preempted) / static_cast<double>(trace.size());
  }
}

bool const registered = [] {
  for (auto const& [label, file] :
       std::map<std::string, std::string>{{"azure_code", "AzureLLMInferenceTrace_code.csv"},
                                          {"azure_conversation", "AzureLLMInferenceTrace_conv.csv"},
                                          {"mooncake_conversation", "mooncake_conversation_trace.jsonl"},
                                          {"mooncake_synthetic", "mooncake_synthetic_trace.jsonl"},
                                          {"vidur_arxiv", "vidur_arxiv_summarization_lengths.csv"}}) {
    auto const add = [&](char const* what, auto const& run) {
      benchmark::RegisterBenchmark(("fragmentation/" + label + "/" + what).c_str(), run)
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    };
    add("longest", [file](benchmark::State& state) {
      contiguous(state, file, [](request const&, std::int64_t longest) {
        return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(longest)));
      });
    });
    add("power_of_two", [file](benchmark::State& state) {
      contiguous(state, file, [](request const& r, std::int64_t) {
        return r.prompt + static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(r.output)));
      });
    });
    add("exact", [file](benchmark::State& state) {
      contiguous(state, file, [](request const& r, std::int64_t) { return r.all(); });
    });
    for (int const size : {8, 16, 32, 128})
      add(("paged_" + std::to_string(size)).c_str(),
          [file, size](benchmark::State& state) { paged(state, file, size); });
  }
  return true;
}();

}  // namespace
