//  The next token of every row: greedy, a plain draw, and the restricted ones; penalties; log-probabilities.
//
//  Axes: rows, vocabulary. Bytes: the logits once; what a call reads again comes from cache.
#include <tenon/sampling/logprobs.hpp>
#include <tenon/sampling/penalties.hpp>
#include <tenon/sampling/sample.hpp>

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"

namespace {

using tenon::index_t, tenon::sampling_params;

constexpr index_t most = 20;    // log-probabilities per row
constexpr index_t past = 1024;  // tokens in each row's history

struct operands {
  test::tensor<float, 2>           logits, top;
  test::tensor<sampling_params, 1> params;
  test::tensor<std::int32_t, 1>    ids, history, start, prompt;
  test::tensor<std::int32_t, 2>    top_ids;
  test::tensor<float, 1>           logprobs;
  operands(index_t rows, index_t vocabulary, sampling_params how)
      : logits(rows, vocabulary),
        top(rows, most),
        params(rows),
        ids(rows),
        history(rows * past),
        start(rows + 1),
        prompt(rows),
        top_ids(rows, most),
        logprobs(rows) {
    logits.random(1, 3.0f);
    std::vector<sampling_params> all;
    std::vector<std::int32_t>    begin{0}, tokens;
    for (index_t r = 0; r < rows; ++r) {
      all.push_back(how), all.back().seed = static_cast<std::uint64_t>(r);
      begin.push_back(static_cast<std::int32_t>((r + 1) * past));
    }
    for (index_t i = 0; i < rows * past; ++i) tokens.push_back(static_cast<std::int32_t>(i * 2503 % vocabulary));
    params.assign(all), start.assign(begin), history.assign(tokens), prompt.fill(static_cast<std::int32_t>(past / 2));
    ids.fill(0);
  }
};

template <class Call>
void run(benchmark::State& state, sampling_params how, Call const& call) {
  auto const rows = state.range(0), vocabulary = state.range(1);
  bench::measure(
      state, {.bytes = 4 * rows * vocabulary}, [&] { return std::make_unique<operands>(rows, vocabulary, how); }, call);
}

void sample(benchmark::State& state, sampling_params how) {
  run(state, how, [](tenon::context const& where, operands& o) {
    return tenon::sample(where, o.ids.view(), o.logits.view(), o.params.view());
  });
}
void penalties(benchmark::State& state) {
  // A repetition penalty and its inverse would drift; presence moves each logit by a little, call after call.
  run(state, {.presence_penalty = 1e-6f}, [](tenon::context const& where, operands& o) {
    return tenon::apply_penalties(where, o.logits.view(), o.params.view(), o.history.view(), o.start.view(),
                                  o.prompt.view());
  });
}
void token_logprobs(benchmark::State& state) {
  run(state, {}, [](tenon::context const& where, operands& o) {
    return tenon::token_logprobs(where, o.logprobs.view(), o.logits.view(), o.ids.view());
  });
}
void top_logprobs(benchmark::State& state) {
  run(state, {}, [](tenon::context const& where, operands& o) {
    return tenon::top_logprobs(where, o.top_ids.view(), o.top.view(), o.logits.view());
  });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "vocabulary"})
      ->Args({1, 2048})
      ->Args({1, 32000})
      ->Args({1, 151936})
      ->Args({32, 128256})
      ->Apply(bench::timed);
}
BENCHMARK_CAPTURE(sample, greedy, sampling_params{.temperature = 0})->Apply(shapes);
BENCHMARK_CAPTURE(sample, draw, sampling_params{.temperature = 1})->Apply(shapes);
BENCHMARK_CAPTURE(sample, min_p, sampling_params{.temperature = 1, .min_p = 0.05f})->Apply(shapes);
BENCHMARK_CAPTURE(sample, top_k, sampling_params{.temperature = 1, .top_k = 40})->Apply(shapes);
BENCHMARK_CAPTURE(sample, top_p, sampling_params{.temperature = 1, .top_p = 0.9f})->Apply(shapes);
BENCHMARK_CAPTURE(sample, top_k_top_p, sampling_params{.temperature = 1, .top_p = 0.9f, .top_k = 40})->Apply(shapes);
BENCHMARK(penalties)->Apply(shapes);
BENCHMARK(token_logprobs)->Apply(shapes);
BENCHMARK(top_logprobs)->Apply(shapes);

}  // namespace
